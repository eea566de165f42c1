/// What an OAuth server knows, and its rules; a plain value that is told the time.
///
/// Times come in as milliseconds of the wall clock. The server's own clock may run ahead of it.
struct OAuthState: Sendable {
  let rules: OAuthRules
  private(set) var apps: [OAuthApp] = []
  private(set) var accounts: [OAuthAccount] = []
  var behavior = OAuthBehavior()
  // Changed by this type's own extensions alone.
  var families: [OAuthFamily] = []
  var counts = OAuthCounts()
  var codes: [String: OAuthCode] = [:]
  var accesses: [String: OAuthAccess] = [:]
  var refreshes: [String: OAuthRefresh] = [:]
  /// Milliseconds that the server's clock is ahead of the wall clock.
  private(set) var clockOffset: Int64 = 0
  private var placeTokens: [PlaceKey: String] = [:]
  private var texts: OAuthTexts

  private struct PlaceKey: Hashable {
    let family: Int
    let place: Int64
    let expires: Bool
  }

  init(rules: OAuthRules, seed: UInt64) {
    self.rules = rules
    texts = OAuthTexts(seed: seed)
  }

  // MARK: Apps, accounts, clock

  func app(_ clientID: String) -> OAuthApp? {
    apps.first { $0.clientID == clientID }
  }

  mutating func setApp(_ app: OAuthApp) {
    if let index = apps.firstIndex(where: { $0.clientID == app.clientID }) {
      apps[index] = app
    } else {
      apps.append(app)
    }
  }

  func account(_ username: String) -> OAuthAccount? {
    accounts.first { $0.username == username }
  }

  mutating func setAccount(_ account: OAuthAccount) {
    let index = accounts.firstIndex { $0.username == account.username }
    if let index { accounts[index] = account } else { accounts.append(account) }
  }

  /// A token that no app asked for, with every scope; an account has one of them.
  mutating func setToken(_ text: String, of username: String, seconds: Int?, at wall: Int64) {
    let now = time(wall)
    accesses = accesses.filter { families[$0.value.family].app != "" || families[$0.value.family].account != username }
    let family = start(app: "", account: username, requested: rules.scopes, scopes: rules.scopes, at: now)
    let expiry = seconds.map { now + Int64($0) * 1000 }
    accesses[text] = OAuthAccess(family: family, kind: .long, issuedAt: now, expiresAt: expiry)
  }

  mutating func advanceClock(milliseconds: Int64) {
    clockOffset += milliseconds
  }

  /// Forgets counts, behaviour and the clock's lead; apps, accounts and tokens stay.
  mutating func reset() {
    counts = OAuthCounts()
    behavior = OAuthBehavior()
    clockOffset = 0
    for index in families.indices {
      families[index].refreshes = 0
      families[index].graceRefreshes = 0
      families[index].replays = 0
      families[index].refusedRefreshes = 0
    }
  }

  func time(_ wall: Int64) -> Int64 { wall + clockOffset }

  // MARK: Consent

  /// A code for what a person granted; scopes that nobody grants are left out.
  mutating func issueCode(
    _ request: ConsentRequest,
    account: String,
    granted: Set<String>,
    at wall: Int64
  ) -> (code: String, scopes: [String]) {
    let scopes = request.scopes.filter { scope in
      !behavior.withheldScopes.contains(scope) && (granted.contains(scope) || rules.fixedScopes.contains(scope))
    }
    let text = texts.make(rules.codePrefix)
    let seconds = behavior.codeSeconds ?? rules.codeSeconds
    codes[text] = OAuthCode(
      app: request.app.clientID,
      account: account,
      redirectAddress: request.redirectAddress,
      requested: request.scopes,
      scopes: scopes,
      challenge: request.challenge,
      expiresAt: time(wall) + Int64(seconds) * 1000
    )
    counts.consents += 1
    return (text, scopes)
  }

  mutating func countDenial() {
    counts.denials += 1
  }

  /// A text that nobody guesses, for apps that register themselves.
  mutating func makeText() -> String { texts.make("") }

  // MARK: Tokens for codes

  mutating func exchange(
    code: String,
    app: OAuthApp,
    redirectAddress: String,
    verifier: String?,
    at wall: Int64
  ) throws(OAuthRefusal) -> OAuthGrant {
    do throws(OAuthRefusal) {
      let now = time(wall)
      let found = try check(code, app, redirectAddress, verifier, now)
      codes[code]?.isUsed = true
      counts.exchanges += 1
      if rules.reusesTokens, let known = livingGrant(app, found, wall) { return known }
      let family = start(
        app: app.clientID,
        account: found.account,
        requested: found.requested,
        scopes: found.scopes,
        at: now
      )
      return grant(family, refresh: makeRefresh(family, app, now), at: now)
    } catch {
      counts.refusedExchanges += 1
      if error == .usedCode { counts.codeReplays += 1 }
      throw error
    }
  }

  /// The token that the account granted to the app before, if it still works and opens the same.
  private func livingGrant(_ app: OAuthApp, _ code: OAuthCode, _ wall: Int64) -> OAuthGrant? {
    for (text, access) in accesses {
      let family = families[access.family]
      guard family.app == app.clientID, family.account == code.account, family.scopes == code.scopes else { continue }
      // A dead one is none; why does not matter.
      if (try? pass(text, at: wall)) != nil { return OAuthGrant(access: text, family: family) }
    }
    return nil
  }

  private func check(
    _ text: String,
    _ app: OAuthApp,
    _ redirectAddress: String,
    _ verifier: String?,
    _ now: Int64
  ) throws(OAuthRefusal) -> OAuthCode {
    guard let code = codes[text], code.app == app.clientID else { throw .unknownCode }
    guard !code.isUsed else { throw .usedCode }
    guard now < code.expiresAt else { throw .expiredCode }
    guard code.redirectAddress == redirectAddress else { throw .otherRedirect }
    guard let challenge = code.challenge else { return code }
    guard let verifier else { throw .missing("code_verifier") }
    guard (43...128).contains(verifier.utf8.count), challenge.text == expected(verifier, challenge) else {
      throw .wrongVerifier
    }
    return code
  }

  private func expected(_ verifier: String, _ challenge: OAuthCode.Challenge) -> String {
    if challenge.isPlain { return verifier }
    let digest = SHA256.digest(Array(verifier.utf8))
    if case .hexadecimal = rules.proof { return Hexadecimal.string(digest) }
    return Base64.encodeURL(digest)
  }

  private mutating func start(
    app: String,
    account: String,
    requested: [String],
    scopes: [String],
    at now: Int64
  ) -> Int {
    let id = families.count
    families.append(
      OAuthFamily(id: id, app: app, account: account, requested: requested, scopes: scopes, startedAt: now)
    )
    return id
  }

  private mutating func makeRefresh(_ family: Int, _ app: OAuthApp, _ now: Int64) -> String? {
    let isGiven =
      switch rules.refreshTokens {
      case .never: false
      case .always: true
      case .withScope(let scope): families[family].scopes.contains(scope)
      case .forApprovedApps: app.isApproved
      }
    guard isGiven else { return nil }
    let text = texts.make(rules.refreshPrefix)
    refreshes[text] = OAuthRefresh(family: family, expiresAt: now + refreshLifetime)
    return text
  }

  private var refreshLifetime: Int64 { Int64(behavior.refreshSeconds ?? rules.refreshSeconds ?? 0) * 1000 }

  private mutating func grant(_ family: Int, refresh: String?, at now: Int64) -> OAuthGrant {
    let seconds = behavior.accessSeconds ?? rules.accessSeconds
    let expiry = refresh.flatMap { refreshes[$0]?.expiresAt }
    return OAuthGrant(
      access: makeAccess(family, .short, seconds: seconds, at: now),
      expiresIn: seconds,
      refresh: refresh,
      refreshExpiresIn: expiry.map { Int(($0 - now) / 1000) },
      family: families[family]
    )
  }

  private mutating func makeAccess(_ family: Int, _ kind: OAuthAccess.Kind, seconds: Int?, at now: Int64) -> String {
    let text = texts.make(rules.accessPrefix)
    let expiry = seconds.map { now + Int64($0) * 1000 }
    accesses[text] = OAuthAccess(family: family, kind: kind, issuedAt: now, expiresAt: expiry)
    return text
  }

  // MARK: New tokens for old ones

  /// What is left of a replaced credential: usable within the grace time, or the end of its family.
  private mutating func useReplaced(_ replacedAt: Int64, _ family: Int, _ now: Int64) throws(OAuthRefusal) {
    if rotation == .grace, now < replacedAt + Int64(behavior.graceSeconds) * 1000 {
      families[family].graceRefreshes += 1
      counts.graceRefreshes += 1
      return
    }
    families[family].replays += 1
    families[family].end = .killed
    counts.replays += 1
    counts.kills += 1
    throw .replayedToken
  }

  var rotation: OAuthRules.Rotation { behavior.rotation ?? rules.rotation }

  private mutating func countRefusedRefresh(_ family: Int?, _ refusal: OAuthRefusal) {
    counts.refusedRefreshes += 1
    if let family, refusal != .replayedToken { families[family].refusedRefreshes += 1 }
  }

  mutating func refresh(_ text: String, app: OAuthApp, at wall: Int64) throws(OAuthRefusal) -> OAuthGrant {
    let family = refreshes[text]?.family
    do throws(OAuthRefusal) {
      let now = time(wall)
      guard let old = refreshes[text], families[old.family].app == app.clientID else { throw .unknownToken }
      if let end = families[old.family].end { throw .endedToken(end) }
      guard now < old.expiresAt else { throw .expiredToken(at: old.expiresAt) }
      if let replacedAt = old.replacedAt { try useReplaced(replacedAt, old.family, now) }
      families[old.family].refreshes += 1
      counts.refreshes += 1
      guard rotation != .none else { return grant(old.family, refresh: text, at: now) }
      if old.replacedAt == nil { refreshes[text]?.replacedAt = now }
      let new = texts.make(rules.refreshPrefix)
      let expiry = rules.rotationRenewsTime ? now + refreshLifetime : old.expiresAt
      refreshes[new] = OAuthRefresh(family: old.family, expiresAt: expiry)
      return grant(old.family, refresh: new, at: now)
    } catch {
      countRefusedRefresh(family, error)
      throw error
    }
  }

  /// A long-lived token for an access token of the same app.
  mutating func lengthen(
    _ text: String,
    app: OAuthApp,
    from kinds: [OAuthAccess.Kind],
    at wall: Int64
  ) throws(OAuthRefusal) -> OAuthGrant {
    do throws(OAuthRefusal) {
      let pass = try pass(text, at: wall)
      guard pass.family.app == app.clientID else { throw .unknownToken }
      guard kinds.contains(pass.access.kind) else { throw .otherKind }
      counts.lengthenings += 1
      return grantLong(pass.family.id, at: time(wall))
    } catch {
      counts.refusedExchanges += 1
      throw error
    }
  }

  private mutating func grantLong(_ family: Int, at now: Int64) -> OAuthGrant {
    let seconds = behavior.longSeconds ?? rules.longSeconds ?? rules.accessSeconds
    let text = makeAccess(family, .long, seconds: seconds, at: now)
    return OAuthGrant(access: text, expiresIn: seconds, family: families[family])
  }

  /// A new long-lived token for one that is old enough.
  mutating func renew(_ text: String, scope: String, at wall: Int64) throws(OAuthRefusal) -> OAuthGrant {
    let family = accesses[text]?.family
    do throws(OAuthRefusal) {
      let now = time(wall)
      guard let old = accesses[text] else { throw .unknownToken }
      if let end = families[old.family].end { throw .endedToken(end) }
      if let expiry = old.expiresAt, now >= expiry { throw .expiredToken(at: expiry) }
      guard old.kind == .long else { throw .otherKind }
      guard families[old.family].scopes.contains(scope) else { throw .missingScope(scope) }
      if let replacedAt = old.replacedAt { try useReplaced(replacedAt, old.family, now) }
      guard now - old.issuedAt >= Int64(rules.renewalAgeSeconds) * 1000 else { throw .tooYoung }
      families[old.family].refreshes += 1
      counts.refreshes += 1
      if rotation != .none, old.replacedAt == nil { accesses[text]?.replacedAt = now }
      return grantLong(old.family, at: now)
    } catch {
      countRefusedRefresh(family, error)
      throw error
    }
  }

  /// The token for a page of the account; the same as long as it lives.
  mutating func placeToken(_ place: Int64, for pass: OAuthPass) -> String {
    // What comes from a short-lived token ends with it.
    let expiry = pass.access.kind == .short ? pass.access.expiresAt : nil
    let key = PlaceKey(family: pass.family.id, place: place, expires: expiry != nil)
    if let known = placeTokens[key], accesses[known]?.expiresAt == expiry { return known }
    let text = texts.make(rules.accessPrefix)
    accesses[text] = OAuthAccess(
      family: pass.family.id,
      kind: .place(place),
      issuedAt: pass.access.issuedAt,
      expiresAt: expiry
    )
    placeTokens[key] = text
    return text
  }
}
