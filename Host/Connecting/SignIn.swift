package import Cryptography
package import FoundationEssentials

/// What somebody asks for when they connect an account by a sign-in.
package struct SignInRequest: Sendable {
  package var siteID: Int64
  package var userID: Int64
  /// A plugin's id or one of its aliases.
  package var platform: String
  /// Where the browser goes afterwards.
  package var returnTo: String
  /// Names of optional scope sets.
  package var scopes: [String]
  /// The application of the site; nil for its default one, or else the host's.
  package var appID: Int64?
  /// Values by the names of the manifest's account fields.
  package var fields: [String: String]
  /// The account to connect again; nil for a new one.
  package var connectionID: Int64?
  /// Whether a browser with a session asks, which is bound at once. Else the first browser that opens the address is.
  package var isBrowser: Bool

  package init(
    siteID: Int64,
    userID: Int64,
    platform: String,
    returnTo: String,
    scopes: [String] = [],
    appID: Int64? = nil,
    fields: [String: String] = [:],
    connectionID: Int64? = nil,
    isBrowser: Bool
  ) {
    self.siteID = siteID
    self.userID = userID
    self.platform = platform
    self.returnTo = returnTo
    self.scopes = scopes
    self.appID = appID
    self.fields = fields
    self.connectionID = connectionID
    self.isBrowser = isBrowser
  }
}

/// A sign-in that was started, or bound to a browser.
package struct StartedSignIn: Sendable {
  package let id: Int64
  /// Where the browser goes: the platform's page, or the host's address that binds the browser first.
  package let address: String
  /// What the platform sends back.
  package let state: Secret
  /// What the browser keeps as a cookie; nil if it is not bound yet.
  package let browser: Secret?
  package let expiresAt: Date
}

/// Who comes back from a platform.
package struct SignInVisitor: Sendable {
  /// The browser's cookie for a sign-in.
  package let cookie: @Sendable (_ signIn: Int64) -> String?
  /// Whose session the browser has; nil for none.
  package let userID: Int64?
  /// Whether that user may connect accounts in a site.
  package let mayConnect: @Sendable (_ site: Int64) -> Bool
  package let address: String
  package let userAgent: String?

  package init(
    cookie: @escaping @Sendable (_ signIn: Int64) -> String?,
    userID: Int64?,
    mayConnect: @escaping @Sendable (_ site: Int64) -> Bool,
    address: String,
    userAgent: String?
  ) {
    self.cookie = cookie
    self.userID = userID
    self.mayConnect = mayConnect
    self.address = address
    self.userAgent = userAgent
  }
}

/// How a callback ended for the browser.
package enum SignInEnd: Sendable {
  /// To the return address of the sign-in, which is over; its cookie may go.
  case back(to: String, signIn: Int64)
  /// The browser stays and is told why.
  case here(SignInReason)
}

/// What people may know of a sign-in.
package struct SignInState: Sendable {
  package let id: Int64
  package let platform: String
  package let createdAt: Date
  package let expiresAt: Date
  /// Nil while it runs.
  package let outcome: SignInReason.Outcome?
  package let reason: SignInReason?
  /// More about the reason in the words of the host or the adapter.
  package let message: String?
  /// The accounts to choose from; empty if there is nothing to choose.
  package let accounts: [SignInAccount]
}

/// An account that a sign-in reaches.
package struct SignInAccount: Sendable, Equatable {
  package let id: String
  package let name: String
  package let handle: String?
  /// Whether the person may publish with it.
  package let isUsable: Bool
}

/// What became of a chosen account.
package struct ChosenAccount: Sendable {
  package let id: String
  /// Nil if it was not connected.
  package let connectionID: Int64?
  package let reason: SignInReason?
  package let message: String?
}

/// How sign-ins ended.
package struct SignInSummary: Sendable, Equatable {
  /// Sign-ins by their outcome.
  package let outcomes: [SignInReason.Outcome: Int]
  /// Those without an account by the reason.
  package let reasons: [String: Int]
  /// Sign-ins that have not ended.
  package let running: Int

  /// The part that ended with an account, of all in which somebody came back and did not say no; nil for none.
  package var successRate: Double? {
    let connected = outcomes[.connected] ?? 0
    let all = connected + (outcomes[.failed] ?? 0) + (outcomes[.refused] ?? 0)
    return all == 0 ? nil : Double(connected) / Double(all)
  }
}

/// Why a sign-in is not started or found.
package enum SignInRefusal: Error, Sendable, Equatable, CustomStringConvertible {
  case unsupported(String)
  case unknownScopes(name: String, allowed: [String])
  case badReturnAddress(String)
  case noOwnAddress
  case notFound(Int64)
  case ticketNotValid
  case nothingToChoose(Int64)
  case unknownAccount(String)
  case connectionNotFound(Int64)

  package var description: String {
    switch self {
    case .unsupported(let name): "Accounts of “\(name.prefix(60))” are not connected by a sign-in"
    case .unknownScopes(let name, let allowed):
      "“\(name.prefix(60))” is no optional set of scopes; allowed are: "
        + (allowed.isEmpty ? "none" : allowed.joined(separator: ", "))
    case .badReturnAddress(let problem): "redirectUrl \(problem)"
    case .noOwnAddress: "The host does not know its own address yet; set ROSTRUM_PUBLIC_URL"
    case .notFound(let id): "You started no sign-in \(id) in this site"
    case .ticketNotValid: "This address has been opened already, or is older than ten minutes"
    case .nothingToChoose(let id): "The sign-in \(id) has no accounts to choose from, or not any more"
    case .unknownAccount(let id): "The sign-in does not reach an account “\(id.prefix(100))” that can be used"
    case .connectionNotFound(let id): "There is no account \(id) of this platform in the site"
    }
  }
}
