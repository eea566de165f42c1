public import PluginProtocol

/// The platform behind a test host: takes the requests that passed the manifest's rules and answers them.
public protocol ScriptedPlatform: Sendable {
  /// Forgets everything that was published.
  func reset() async

  /// Answers one request.
  ///
  /// - Parameters:
  ///   - rule: the rule that allowed it.
  ///   - account: whose it is.
  ///   - method: the call that it was asked for in.
  /// - Throws: `upstreamUnreachable` if nothing was sent, `outcomeUnknown` if no complete answer came.
  func answer(
    _ request: PerformHTTPRequest,
    rule: ManifestRule,
    account: Account,
    method: String
  ) async throws(ProtocolError) -> HTTPAnswer
}
