/// What tokens open, and how they end.
extension OAuthState {
  /// What a token opens.
  func pass(_ text: String, at wall: Int64) throws(OAuthRefusal) -> OAuthPass {
    guard let access = accesses[text] else { throw .unknownToken }
    let family = families[access.family]
    if let end = family.end { throw .endedToken(end) }
    if access.isRevoked { throw .endedToken(.revoked) }
    if let expiry = access.expiresAt, time(wall) >= expiry { throw .expiredToken(at: expiry) }
    if let replacedAt = access.replacedAt {
      let isGrace = rotation == .grace && time(wall) < replacedAt + Int64(behavior.graceSeconds) * 1000
      guard isGrace else { throw .endedToken(.revoked) }
    }
    return OAuthPass(access: access, family: family)
  }

  /// Whose token or code a text is, dead or alive.
  func owner(of text: String) -> String? {
    if let code = codes[text] { return code.account }
    return (accesses[text]?.family ?? refreshes[text]?.family).map { families[$0].account }
  }

  /// Takes back a token of the app; false if it is none.
  mutating func revoke(_ text: String, app: OAuthApp) -> Bool {
    guard let family = accesses[text]?.family ?? refreshes[text]?.family, families[family].app == app.clientID else {
      return false
    }
    counts.revocations += 1
    if refreshes[text] != nil || rules.revokingEndsAll {
      end(family, .revoked)
    } else {
      accesses[text]?.isRevoked = true
    }
    return true
  }

  /// Ends everything that an account granted to an app, as the app itself asked.
  mutating func giveBack(account: String, app: String) {
    counts.revocations += 1
    for family in families where family.account == account && family.app == app { end(family.id, .revoked) }
  }

  private mutating func end(_ family: Int, _ end: OAuthFamily.End) {
    if families[family].end == nil { families[family].end = end }
  }

  /// Ends what an account granted, as its owner can on the platform; says how many consents that were.
  mutating func remove(account: String, reason: Int?) -> Int {
    let wanted = families.filter { $0.account == account && $0.end == nil }.map(\.id)
    for family in wanted { end(family, .removed(reason)) }
    return wanted.count
  }

  /// Lets the living tokens of an account expire now; says how many they were.
  mutating func expire(account: String, refreshTokens: Bool, at wall: Int64) -> Int {
    let now = time(wall)
    let wanted = Set(families.filter { $0.account == account && $0.end == nil }.map(\.id))
    var count = 0
    if refreshTokens {
      for (text, token) in refreshes where wanted.contains(token.family) && token.expiresAt > now {
        refreshes[text]?.expiresAt = now
        count += 1
      }
    } else {
      for (text, token) in accesses where wanted.contains(token.family) && token.expiresAt ?? .max > now {
        accesses[text]?.expiresAt = now
        count += 1
      }
    }
    return count
  }

  /// How many access tokens of each family open something now.
  func livingTokens(at wall: Int64) -> [Int: Int] {
    var counts: [Int: Int] = [:]
    for (text, access) in accesses {
      // Why a token is dead does not matter here.
      if (try? pass(text, at: wall)) != nil { counts[access.family, default: 0] += 1 }
    }
    return counts
  }
}
