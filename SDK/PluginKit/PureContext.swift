public import PluginProtocol

/// What validating and rendering may know. It offers no host calls, so these can only be pure.
public struct PureContext: Sendable {
  /// The account the post is for.
  public let account: Account

  /// Makes a context.
  public init(account: Account) {
    self.account = account
  }

  /// The account's capabilities as last asked, nil before.
  ///
  /// - Throws: `invalidParams` if the host sent something else.
  public func capabilities() throws(PlatformError) -> Capabilities? {
    try account.decodedCapabilities()
  }
}
