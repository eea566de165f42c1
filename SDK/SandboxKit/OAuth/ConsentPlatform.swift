/// A platform that lets apps in by consent, and tells them who somebody is.
protocol ConsentPlatform: Sendable {
  /// Names of the real servers.
  static var hosts: [String] { get }

  var oauth: OAuthServer { get }

  /// - Parameter now: milliseconds of the wall clock.
  func answer(_ request: HTTPRequest, now: Int64) -> HTTPResponse

  /// A mistake in an app or an account that this platform would not take; a sentence.
  func objection(to app: OAuthApp) -> String?
  func objection(to account: OAuthAccount) -> String?
}

extension ConsentPlatform {
  func objection(to app: OAuthApp) -> String? { nil }
  func objection(to account: OAuthAccount) -> String? { nil }

  /// The account behind a token.
  func account(of pass: OAuthPass) throws(OAuthRefusal) -> OAuthAccount {
    guard let account = oauth.state.withLock({ $0.account(pass.family.account) }) else { throw .unknownToken }
    return account
  }

  /// The consent page with the platform's own accounts.
  func consent(_ request: HTTPRequest, _ now: Int64) -> HTTPResponse {
    oauth.consent(request, accounts: oauth.state.withLock { $0.accounts }, at: now)
  }
}
