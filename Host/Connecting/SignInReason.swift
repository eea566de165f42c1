/// Why a sign-in at a platform did not end with an account: short words for programs, and sentences for people.
///
/// Nothing that a platform wrote is among them.
package enum SignInReason: String, Sendable, CaseIterable {
  case denied
  case unavailable
  case interrupted
  case expired
  case platformError = "platform_error"
  case codeRefused = "code_refused"
  case application
  case scopesMissing = "scopes_missing"
  case noRefreshToken = "no_refresh_token"
  case noAccount = "no_account"
  case accountNotUsable = "account_not_usable"
  case tokenRefused = "token_refused"
  case accountTaken = "account_taken"
  case anotherAccount = "another_account"
  case pluginGone = "plugin_gone"
  case adapterFailed = "adapter_failed"
  case connectionGone = "connection_gone"
  case malformed
  case wrongIssuer = "wrong_issuer"
  case wrongPlatform = "wrong_platform"
  case foreignBrowser = "foreign_browser"
  case foreignUser = "foreign_user"
  case accessLost = "access_lost"

  /// How ends are counted.
  package enum Outcome: String, Sendable, CaseIterable {
    case connected
    /// The person said no.
    case denied
    case failed
    /// The callback was not the one of this sign-in.
    case refused
    /// Nobody came back.
    case expired
  }

  var outcome: Outcome {
    switch self {
    case .denied: .denied
    case .expired: .expired
    case .malformed, .wrongIssuer, .wrongPlatform, .foreignBrowser, .foreignUser, .accessLost: .refused
    default: .failed
    }
  }

  /// The value of `error` in the address that people are sent back to.
  var error: String {
    switch self {
    case .denied: "oauth_denied"
    case .unavailable: "platform_unavailable"
    default: "oauth_failed"
    }
  }

  /// Whether the browser may not be the one that started: it is shown a page instead of being sent on.
  var staysHere: Bool {
    switch self {
    case .wrongPlatform, .foreignBrowser, .foreignUser, .accessLost: true
    default: false
    }
  }

  /// What happened and what helps.
  package var text: String {
    switch self {
    case .denied: "You did not allow the access. Nothing was connected; start again if that was a mistake."
    case .unavailable: "The platform does not answer right now. Nothing was connected; try again in a few minutes."
    case .interrupted: "The sign-in was interrupted. Nothing was connected; start again."
    case .expired: "The sign-in took longer than ten minutes. Nothing was connected; start again."
    case .platformError: "The platform reported a failure. Nothing was connected; start again."
    case .codeRefused: "The platform did not take back the code that it gave. Start again."
    case .application:
      "The platform does not accept this host's application. Whoever registered it checks its id, its secret and its "
        + "callback address."
    case .scopesMissing: "Not everything was allowed that publishing needs. Start again and leave the boxes checked."
    case .noRefreshToken:
      "The platform gave no way to renew the access. Whoever registered the application checks what it may ask for."
    case .noAccount: "There is no account that you may publish with behind this sign-in."
    case .accountNotUsable: "The account can not be used for publishing."
    case .tokenRefused: "The platform did not accept the access that it had just given. Start again."
    case .accountTaken: "The account is connected already, in this site or in another one."
    case .anotherAccount:
      "You signed in as another account than the connected one. Sign in there as the right one first."
    case .pluginGone: "The plugin of the platform was removed meanwhile, or does not sign in any more."
    case .adapterFailed: "The plugin of the platform failed. Whoever looks after the host finds the cause in its log."
    case .connectionGone: "The account that should be connected again was disconnected or changed meanwhile."
    case .malformed, .wrongIssuer, .wrongPlatform, .foreignBrowser, .foreignUser, .accessLost:
      "This is not the answer to a sign-in that you started in this browser. Start again where you connect accounts."
    }
  }
}
