public import PluginProtocol

/// What a call about an account may use.
public struct AccountContext: HostContext {
  /// The account; its id is empty before the first `identify`.
  public let account: Account
  /// The services of the host.
  public let host: HostServices

  package init(account: Account, host: HostServices) {
    self.account = account
    self.host = host
  }
}
