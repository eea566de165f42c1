import FoundationEssentials

/// The tokens of one account at the probe's platform, which is as strict as the strictest one.
struct ProbeTokens: Sendable {
  enum Rotation: Sendable {
    /// The refresh token stays.
    case none
    /// The one before the newest stays good too.
    case grace
    /// A refresh token is spent with its first use; a second use ends everything.
    case strict
  }

  var rotation = Rotation.strict
  var expiresIn = 7_200
  /// Whether answers name a refresh token.
  var givesRefreshToken = true
  private(set) var refreshTokens = ["refresh-0"]
  private(set) var accessTokens = ["access-0"]
  /// Requests with a refresh token, whatever came of them.
  private(set) var refreshes = 0
  private(set) var replays = 0
  private(set) var isDead = false
  private(set) var revoked: [String] = []

  var access: String { accessTokens.last ?? "" }
  var refresh: String { refreshTokens.last ?? "" }

  /// Answers a refresh grant.
  mutating func refresh(_ body: String) -> ProbePlatform.Answer {
    refreshes += 1
    let given = body.split(separator: "&").first { $0.hasPrefix("refresh_token=") }.map { String($0.dropFirst(14)) }
    let good = rotation == .grace ? refreshTokens.suffix(2) : refreshTokens.suffix(1)
    guard let given, !isDead, good.contains(given) else {
      if let given, refreshTokens.contains(given), rotation == .strict {
        replays += 1
        isDead = true
      }
      return ProbePlatform.Answer(status: 400, body: #"{"error":"invalid_grant"}"#)
    }
    accessTokens.append("access-\(accessTokens.count)")
    if rotation != .none, given == refreshTokens.last { refreshTokens.append("refresh-\(refreshTokens.count)") }
    let new = givesRefreshToken ? #","refresh_token":"\#(refresh)""# : ""
    return .ok(#"{"token_type":"bearer","access_token":"\#(access)","expires_in":\#(expiresIn)\#(new)}"#)
  }

  mutating func revoke(_ body: String) {
    revoked.append(body)
    isDead = true
  }
}
