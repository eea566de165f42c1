import Cryptography
import Egress
package import FoundationEssentials
package import Logging
package import OAuth
package import PluginManifest
import Postgres
import Synchronization
import Vault

/// How renewals share their work; the times fit together, see `docs/decisions/0052`.
package struct RenewalSettings: Sendable {
  /// How long one process may ask the platform for an account: longer than a request and what follows it.
  package var lease: Duration = .seconds(45)
  /// What must be left of the lease when the first byte leaves: the request's own time, and time to store the answer.
  package var reserve: Duration = .seconds(25)
  /// How long somebody waits for another process.
  package var patience: Duration = .seconds(25)
  /// The least pause before a request that follows one without an answer.
  package var pause: Duration = .seconds(2)
  /// Time between two looks at another process's lease.
  package var poll: Duration = .milliseconds(100)
  /// Requests at a time for one application, and for all.
  package var parallelPerApp = 4
  package var parallel = 16
  /// The credentials of this many connections are looked at in one go.
  package var page = 200

  package init() {}
}

/// How the wish for a newer token ended.
package enum RenewalEnd: Sendable, Equatable {
  /// What the row holds now is newer than what was seen, or good for its purpose.
  case current
  /// Not now: somebody else is at it, or the platform is to be left alone for that long.
  case later(Duration, RenewalFault, String)
  /// The answer to an earlier request was lost; the present token serves until it ends.
  case keep(Date?)
  /// Only connecting again helps.
  case dead(String)
  /// These credentials can not be renewed, or it would not help.
  case impossible(String)
}

/// Renews access tokens: one process of all asks the platform for an account, one task in it, and nothing that the
/// platform answered is lost.
///
/// Before the first byte of a request leaves, the row says that it was sent; what the answer brings is on this host's disk
/// before it is in the database. So whatever ends in between, the next one knows what it must not send again.
package final class TokenRenewer: Sendable {
  let store: RenewalStore
  let accounts: AccountCache
  private let endpoint: TokenEndpoint
  private let apps: PlatformApps
  let spool: TokenSpool
  private let manifest: @Sendable (String) -> PluginManifest?
  let logger: Logger
  let settings: RenewalSettings
  /// Names this process in rows, for people.
  private let owner = UUID().uuidString.lowercased()
  private let clock = ContinuousClock()
  private let running = Mutex<[Int64: Task<RenewalEnd, Never>]>([:])
  private let orphans: @Sendable (Orphan) async throws -> Void

  /// Credentials that came for an account that is not connected any more.
  struct Orphan: Sendable {
    let token: RenewedToken
    let app: Int64?
    let origin: String?
  }

  package init(
    accounts: AccountCache,
    endpoint: TokenEndpoint,
    apps: PlatformApps,
    spool: TokenSpool,
    settings: RenewalSettings = RenewalSettings(),
    logger: Logger,
    permit: SendPermit = .unbound,
    manifest: @escaping @Sendable (String) -> PluginManifest?
  ) {
    store = RenewalStore(pool: accounts.pool, permit: permit)
    orphans = { [pool = accounts.pool] in try await PlatformRevocations.add($0, pool) }
    self.accounts = accounts
    self.endpoint = endpoint
    self.apps = apps
    self.spool = spool
    self.settings = settings
    self.logger = logger
    self.manifest = manifest
  }

  // MARK: Asking for a token

  /// The account with a token that has not ended, as far as that is known; renews it first where it must.
  ///
  /// A token whose time has come and that still lives is renewed beside, and nobody waits for it.
  ///
  /// - Throws: `EgressError` in words for the plugin when there is no such token now.
  func usable(_ account: Account) async throws -> Account {
    guard let ends = account.validity.expiresAt, let generation = account.validity.generation else { return account }
    let now = Date()
    if now < ends.addingTimeInterval(-RenewalRules.margin.seconds) {
      if let renewAt = account.validity.renewAt, renewAt <= now { begin(account.connectionID, generation, .due) }
      return account
    }
    for _ in 0..<Self.looks {
      switch await renew(account.connectionID, seen: generation, cause: .needed) {
      case .current:
        let fresh = try await accounts.load(account.connectionID)
        if fresh.validity != account.validity { return fresh }
        // What was joined was not urgent, and did not wait for another process.
        continue
      case .later(let wait, _, let why): throw Self.notYet(why, wait)
      case .dead(let why): throw EgressError(.authExpired, "The account must be connected again: \(why)")
      // What nobody can renew is the platform's to judge.
      case .keep, .impossible: return account
      }
    }
    throw Self.notYet("Another process is renewing it", .seconds(2))
  }

  private static let looks = 3

  /// On hold another host may live on with the same credentials, and the first of two requests would end those of both.
  private static let held = RenewalEnd.later(.seconds(10), .passing, "The installation is on hold")

  private static func notYet(_ why: String, _ wait: Duration) -> EgressError {
    EgressError(.overloaded, "The account's token has ended and is not renewed yet: \(why)", retryAfter: wait)
  }

  /// Whether a token that the platform refused has a newer one now, or gets one soon.
  ///
  /// - Returns: how long to wait before it is tried again; nil when nothing but connecting again helps.
  func waitAfterRefusal(_ account: Account) async -> Duration? {
    guard let generation = account.validity.generation else { return nil }
    switch await renew(account.connectionID, seen: generation, cause: .refused) {
    case .current: return .seconds(1)
    case .later(let wait, _, _): return max(wait, .seconds(1))
    case .keep, .dead, .impossible: return nil
    }
  }

  /// Renews the credentials of a connection unless there are newer ones than those that were seen.
  ///
  /// All who ask for the same connection at the same time get the same answer.
  package func renew(_ connection: Int64, seen: Int64, cause: RenewalCause) async -> RenewalEnd {
    await begin(connection, seen, cause).value
  }

  @discardableResult
  private func begin(_ connection: Int64, _ seen: Int64, _ cause: RenewalCause) -> Task<RenewalEnd, Never> {
    running.withLock { running in
      if let task = running[connection] { return task }
      // Owned by everybody who waits for it; a task of its own, because one caller's end must not end the others.
      let task = Task {
        let end = await self.run(connection, seen, cause)
        _ = self.running.withLock { $0.removeValue(forKey: connection) }
        return end
      }
      running[connection] = task
      return task
    }
  }

  // MARK: The renewal

  private func run(_ connection: Int64, _ seen: Int64, _ cause: RenewalCause) async -> RenewalEnd {
    let deadline = clock.now + settings.patience
    do {
      while true {
        guard let line = try await store.line(connection), line.isConnected else {
          return .impossible("The account is not connected")
        }
        guard let manifest = manifest(line.platform), let declaration = manifest.oauth,
          let refresh = declaration.refresh
        else { return .impossible("The platform has no way to renew credentials") }
        let rules = RenewalRules(refresh)
        switch rules.move(line.facts, seen: seen, cause: cause) {
        case .current: return .current
        case .keep(let date): return .keep(date)
        case .dead(let why): return .dead(why)
        case .pointless: return .impossible("The platform refused a token that it had given just before")
        case .later(let date):
          let wait = Duration.seconds(max(1, date.timeIntervalSince(line.facts.now)))
          return .later(wait, line.facts.fault ?? .passing, line.facts.error ?? "The token is too young")
        case .wait:
          guard cause != .due else { return .current }
          guard clock.now < deadline else {
            return .later(.seconds(5), .passing, "Another process is renewing it")
          }
          try await Task.sleep(for: settings.poll * Double.random(in: 0.75...1.25))
        case .giveUp, .take:
          if store.permit.isHeld { return Self.held }
          // Its end on this clock, counted from before it was asked for.
          let until = clock.now + settings.lease
          let lease = try await store.take(
            connection,
            generation: line.facts.generation,
            owner: owner,
            for: settings.lease
          )
          // Somebody was faster, or there are other credentials: the next look tells.
          guard let lease else { continue }
          let result: RenewalEnd?
          switch rules.move(lease.line.withoutLease, seen: seen, cause: cause) {
          case .take: result = try await hold(lease, until: until, manifest, declaration, refresh, rules)
          case .giveUp: result = try await end(lease, RenewalRules.lost)
          default:
            // Another process tried in the meantime, and the next look tells what came of it.
            try await store.release(lease)
            result = nil
          }
          if let result { return result }
        }
      }
    } catch {
      logger.warning("A token could not be renewed", ["connection": .int(connection), "error": "\(error)"])
      return .later(.seconds(2), .passing, "The host can not do it now")
    }
  }

  /// What is done with the lease in hand; nil when there are other credentials by now.
  private func hold(
    _ lease: RenewalStore.Lease,
    until: ContinuousClock.Instant,
    _ manifest: PluginManifest,
    _ declaration: OAuthDeclaration,
    _ refresh: OAuthRefresh,
    _ rules: RenewalRules
  ) async throws -> RenewalEnd? {
    let (line, facts) = (lease.line, lease.line.facts)
    if facts.state != nil {
      // The answer that is missing may lie on this host's own disk, or its process may come back with it just now.
      if try await replay(line.connection) > 0 { return nil }
      if rules.pauses(facts) { try await Task.sleep(for: settings.pause * Double.random(in: 1...2.5)) }
    }
    let secrets = try await accounts.vault.openCredentials(
      lease.sealed,
      keyID: lease.keyID,
      site: line.site,
      platform: line.platform,
      connection: line.connection,
      generation: facts.generation
    )
    let former = secrets[CredentialGrant.refreshToken]
    if refresh.request.carries(.refreshToken), former == nil {
      try await store.release(lease)
      return .impossible("The account was connected without the right to renew its token")
    }
    if secrets[CredentialGrant.userToken] != nil {
      try await store.release(lease)
      return .impossible("The account's token comes from the one of a person; connect the account again")
    }
    var values: OAuthValues
    do {
      let app = try await apps.connected(line.app, of: manifest, declaration, site: line.site)
      values = OAuthValues(clientID: app.clientID, clientSecret: app.clientSecret, redirect: "", origin: line.origin)
    } catch let error as PlatformAppError {
      let why = error.description
      return try await fail(lease, RenewalRules.applicationPause, .application, why, facts.state, facts.unknown)
    }
    values.token = secrets[declaration.secret]
    values.refreshToken = former
    values.scope = lease.scopes.map { $0.joined(separator: declaration.scopeSeparator) }
    // In hand before anything is sent, so that the answer can be sealed even if the database is away by then.
    let sealer = try await accounts.vault.sealer(site: line.site)
    RenewalCrashPoint.beforeJournal.pass()
    guard let sentAt = try await store.journal(lease, left: settings.reserve) else {
      guard try await store.isOnHold() else { return nil }
      try await store.release(lease)
      return Self.held
    }
    RenewalCrashPoint.beforeSend.pass()
    let sendBefore = until - settings.reserve
    let outcome: TokenOutcome
    do {
      outcome = try await endpoint.tokens(
        refresh.request,
        values,
        dead: declaration.dead,
        beforeFirstByte: { ContinuousClock.now < sendBefore }
      )
    } catch {
      let why = "The application is not set up as the platform needs it: \(error)"
      return try await fail(lease, RenewalRules.applicationPause, .application, why, facts.state, facts.unknown)
    }
    RenewalCrashPoint.beforeStore.pass()
    switch rules.verdict(outcome, facts, spread: .random(in: 0..<1)) {
    case .dead(let why): return try await end(lease, why)
    case .later(let wait, let fault, let error, let state, let unknown):
      return try await fail(lease, wait, fault, error, state, unknown)
    case .store(let grant):
      var whole = grant
      whole.refreshToken = grant.refreshToken ?? former
      var renewed = secrets
      renewed[declaration.secret] = grant.accessToken
      renewed[CredentialGrant.refreshToken] = whole.refreshToken
      let times = GrantTimes(whole, refresh: refresh, issuedAt: sentAt)
      let isNew = grant.refreshToken != nil || !refresh.request.carries(.refreshToken)
      var token = RenewedToken(
        connection: line.connection,
        site: line.site,
        platform: line.platform,
        generation: facts.generation + 1,
        sealed: [],
        keyID: 0,
        issuedAt: sentAt,
        expiresAt: times.expiresAt,
        renewAt: times.renewAt,
        scopes: grant.scopes,
        replacesAll: isNew && refresh.rotation != .none
      )
      let plain = try ConnectionSecrets(renewed).encoded()
      return try await keep(&token, plain, sealer, lease)
    }
  }

  /// Makes the answer durable: on this disk first, then in the row.
  private func keep(
    _ token: inout RenewedToken,
    _ plain: Secret,
    _ sealer: Sealer,
    _ lease: RenewalStore.Lease
  ) async throws -> RenewalEnd? {
    let spooled = try token.sealed(plain, by: sealer, as: .spoolRecord)
    token = try token.sealed(plain, by: sealer, as: .tokens)
    var isSpooled = true
    do {
      try await spool.keep(spooled)
    } catch {
      isSpooled = false
      logger.fault(
        "An answer to a renewal could not be kept",
        ["connection": .int(token.connection), "error": "\(error)"]
      )
    }
    RenewalCrashPoint.afterSpool.pass()
    do {
      if try await !store.store(token, fence: lease.fence) { try await lose(token, lease.line) }
    } catch {
      guard isSpooled else { throw error }
      logger.warning("Renewed credentials wait for the database", ["connection": .int(token.connection)])
      return .later(.seconds(2), .passing, "The new token waits for the database")
    }
    RenewalCrashPoint.afterStore.pass()
    try await spool.remove(spooled)
    accounts.forget(token.connection)
    return .current
  }

  /// What is left of new credentials that do not follow the present ones: those of an account that is gone are ended.
  func lose(_ token: RenewedToken, _ line: RenewalStore.Line) async throws {
    guard let now = try await store.line(token.connection) else { return }
    // Stored already, or somebody connected the account again.
    if now.isConnected { return }
    try await orphans(Orphan(token: token, app: line.app, origin: line.origin))
  }

  private func end(_ lease: RenewalStore.Lease, _ why: String) async throws -> RenewalEnd? {
    guard try await store.end(lease, reason: why) else { return nil }
    logger.warning("An account must be connected again", ["connection": .int(lease.line.connection), "why": "\(why)"])
    accounts.forget(lease.line.connection)
    return .dead(why)
  }

  private func fail(
    _ lease: RenewalStore.Lease,
    _ wait: Duration,
    _ fault: RenewalFault,
    _ error: String,
    _ state: RenewalFacts.State?,
    _ unknown: Int
  ) async throws -> RenewalEnd {
    try await store.fail(lease, state: state, unknown: unknown, after: wait, fault: fault, error: error)
    logger.notice(
      "A token was not renewed",
      ["connection": .int(lease.line.connection), "fault": "\(fault.rawValue)", "why": "\(error)"]
    )
    return .later(wait, fault, error)
  }
}

extension RenewalStore.Line {
  /// The facts as they were before the lease that this process holds now.
  var withoutLease: RenewalFacts {
    var facts = facts
    facts.leasedUntil = nil
    return facts
  }
}

extension RenewedToken {
  /// Where the credentials belong: their row, or this host's disk.
  func context(_ kind: SealKind) -> SealContext {
    kind == .tokens
      ? Vault.credentials(site: site, platform: platform, connection: connection, generation: generation)
      : SealContext(
        kind: kind,
        site: site,
        platform: platform,
        connection: connection,
        field: "renewal",
        generation: generation
      )
  }

  func sealed(_ plain: Secret, by sealer: Sealer, as kind: SealKind) throws -> RenewedToken {
    let blob = try sealer.seal(plain, for: context(kind))
    var copy = self
    (copy.sealed, copy.keyID) = (blob.bytes, blob.keyID)
    return copy
  }
}
