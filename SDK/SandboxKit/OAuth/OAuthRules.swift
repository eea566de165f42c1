/// How one platform lends access to accounts: what differs between the platforms, without the shapes of their answers.
struct OAuthRules: Sendable {
  /// What happens to a credential when a new one is made from it.
  enum Rotation: String, CaseIterable, Sendable {
    /// It ends, and using it again ends everything that came from the same consent.
    case strict
    /// It still works for a while.
    case grace
    /// It stays.
    case none
  }

  /// What an app proves with a code verifier (RFC 7636).
  enum Proof: Sendable {
    case none
    /// Always, as RFC 7636 writes it.
    case required
    /// Where the app sent a challenge, S256 alone.
    case whereSent
    /// Where the app sent a challenge; the digest is written in hexadecimal digits.
    case hexadecimal
  }

  enum RefreshTokens: Sendable {
    case never
    case always
    case withScope(String)
    case forApprovedApps
  }

  /// Where the platform says that it does not know a scope.
  enum ScopeRefusal: Sendable {
    case page
    case redirect(String)
  }

  let platform: Platform
  /// The platform's name for people.
  let title: String
  /// The app's id in requests.
  var clientField = "client_id"
  /// Characters between scopes; answers use the first.
  var scopeSeparators: [Character] = [" "]
  /// Every scope that an app may ask for.
  let scopes: [String]
  /// Granted whatever the person chooses, if they were asked for.
  var fixedScopes: Set<String> = []
  /// Only for apps that the platform has looked at.
  var approvedScopes: Set<String> = []
  var scopeRefusal = ScopeRefusal.page
  var proof = Proof.none
  var needsState = false
  var maximumStateBytes = 4096
  /// Whether the address that people come back to may have a query.
  var redirectsMayHaveQuery = true

  let codeSeconds: Int
  /// Absent is for ever.
  let accessSeconds: Int?
  /// Of tokens that were exchanged for long-lived ones.
  var longSeconds: Int?
  var refreshSeconds: Int?
  var refreshTokens = RefreshTokens.never
  var rotation = Rotation.strict
  /// Whether a new refresh token starts its time anew.
  var rotationRenewsTime = true
  /// Whether another consent of the same account to the same scopes gives the same token.
  var reusesTokens = false
  /// How old a long-lived token must be before it can be renewed.
  var renewalAgeSeconds = 0
  /// Whether taking back an access token ends everything that came from the same consent.
  var revokingEndsAll = true

  /// What comes back when the person says no, beside `state`.
  let denial: [HTTPRequest.QueryItem]
  /// The name of granted scopes beside the code, if the platform tells them there.
  var grantedScopesField: String?
  /// Behind every address that people come back to.
  var fragment = ""
  var codePrefix = ""
  var accessPrefix = ""
  var refreshPrefix = ""

  /// The scopes in a request's text.
  func split(_ text: String) -> [String] {
    text.split { scopeSeparators.contains($0) }.map(String.init)
  }

  func join(_ scopes: [String]) -> String {
    scopes.joined(separator: scopeSeparators.first.map(String.init) ?? " ")
  }
}

/// What a test may change about a platform's OAuth server while it runs.
struct OAuthBehavior: Sendable, Equatable {
  enum Consent: String, CaseIterable, Sendable {
    /// A page asks.
    case ask
    /// No page; everything is granted.
    case allow
    /// No page; everything is denied.
    case deny
  }

  var consent = Consent.ask
  /// The account that gets no page; absent is the first one.
  var consentAccount: String?
  /// Scopes that nobody grants.
  var withheldScopes: Set<String> = []
  /// Absent is the platform's own; so are the four lifetimes.
  var rotation: OAuthRules.Rotation?
  /// How long a replaced credential works with `grace`.
  var graceSeconds = 60
  var codeSeconds: Int?
  var accessSeconds: Int?
  var longSeconds: Int?
  var refreshSeconds: Int?
}
