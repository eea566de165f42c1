/// An app that is registered with a platform.
struct OAuthApp: Sendable {
  let clientID: String
  /// `nil` is a public client, which has none.
  var secret: String?
  var name: String
  /// Addresses that people may come back to, compared byte by byte.
  var redirectAddresses: [String]
  /// Whether the platform has looked at the app.
  var isApproved: Bool
  /// What it said it would ask for; absent is anything.
  var scopes: [String]?
}

/// An account that can say yes to an app.
struct OAuthAccount: Sendable {
  /// A page or an organization that the account works for.
  struct Place: Sendable, Equatable {
    let id: Int64
    var handle: String
    var name: String
    /// The platform's words for what the account may do there.
    var roles: [String]
  }

  let id: Int64
  let username: String
  var name: String
  /// The platform's word for the sort of account, where it has one.
  var kind: String?
  var places: [Place] = []

  /// An id that depends on the text alone (FNV-1a): 18 digits, more than a double can tell apart.
  static func makeID(_ text: String) -> Int64 {
    let hash = text.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    return Int64(hash % 900_000_000_000_000_000) + 100_000_000_000_000_000
  }
}

/// A code on its way from the consent to the app.
struct OAuthCode: Sendable {
  struct Challenge: Sendable, Equatable {
    var text: String
    var isPlain: Bool
  }

  let app: String
  let account: String
  let redirectAddress: String
  let requested: [String]
  let scopes: [String]
  let challenge: Challenge?
  let expiresAt: Int64
  var isUsed = false
}

/// Everything that came from one consent.
struct OAuthFamily: Sendable {
  enum End: Sendable, Equatable {
    /// A replaced credential was used again.
    case killed
    /// The app gave it back.
    case revoked
    /// Somebody took it away on the platform; the number is the platform's reason, where it has one.
    case removed(Int?)

    var name: String {
      switch self {
      case .killed: "killed"
      case .revoked: "revoked"
      case .removed: "removed"
      }
    }
  }

  let id: Int
  let app: String
  let account: String
  /// What the app asked for; what is missing in `scopes` was denied.
  let requested: [String]
  let scopes: [String]
  let startedAt: Int64
  var end: End?
  var refreshes = 0
  /// Refreshes with a replaced credential while it still worked.
  var graceRefreshes = 0
  /// Uses of replaced credentials.
  var replays = 0
  /// Refreshes that were refused for another reason.
  var refusedRefreshes = 0
}

/// A token that opens the interface.
struct OAuthAccess: Sendable {
  enum Kind: Sendable, Equatable {
    case short
    case long
    /// For a page of the account.
    case place(Int64)
  }

  let family: Int
  let kind: Kind
  let issuedAt: Int64
  /// `nil` is never.
  var expiresAt: Int64?
  /// When a new one was made from it.
  var replacedAt: Int64?
  var isRevoked = false
}

/// A token that makes new access tokens.
struct OAuthRefresh: Sendable {
  let family: Int
  var expiresAt: Int64
  var replacedAt: Int64?
}

/// What an app gets.
struct OAuthGrant: Sendable {
  var access: String
  /// Seconds.
  var expiresIn: Int?
  var refresh: String?
  /// Seconds.
  var refreshExpiresIn: Int?
  let family: OAuthFamily
}

/// A living access token with what stands behind it.
struct OAuthPass: Sendable {
  let access: OAuthAccess
  let family: OAuthFamily

  func has(_ scope: String) -> Bool { family.scopes.contains(scope) }
}

/// How often what happened, since the last reset.
struct OAuthCounts: Sendable {
  var consents = 0
  var denials = 0
  var exchanges = 0
  var refusedExchanges = 0
  /// Codes that came a second time.
  var codeReplays = 0
  var lengthenings = 0
  var refreshes = 0
  var graceRefreshes = 0
  var refusedRefreshes = 0
  var replays = 0
  var kills = 0
  var revocations = 0
}

/// Why the server says no; each platform has its own words for it.
enum OAuthRefusal: Error, Sendable, Equatable {
  case notAForm
  case missing(String)
  case unsupportedGrant(String)
  case unknownApp
  case wrongSecret
  case unknownCode
  case usedCode
  case expiredCode
  case otherRedirect
  case wrongVerifier
  case unknownToken
  case expiredToken(at: Int64)
  case endedToken(OAuthFamily.End)
  /// A replaced credential; everything from the same consent ended with it.
  case replayedToken
  case otherKind
  case tooYoung
  case missingScope(String)
}
