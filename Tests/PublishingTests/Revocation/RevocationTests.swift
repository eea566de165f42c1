import Cryptography
import Egress
import Postgres
import Synchronization
import TestSupport
import Testing
import Vault

@testable import Publishing

/// Credentials that are revoked are out of use at once, and stay so until the account is connected again.
@Suite(.database) struct RevocationTests {
  private func secrets(
    _ cache: AccountCache,
    _ connection: Int64,
    _ renewer: TokenRenewer
  ) async throws -> (AccountSecrets, EgressScope) {
    let account = try await cache.load(connection)
    let scope = EgressScope(
      site: account.siteID,
      connection: connection,
      pluginID: "probe",
      requestKey: "key",
      accountOrigin: nil,
      accountEndpoint: nil
    )
    return (AccountSecrets(account: account, revocations: cache.revocations, renewer: renewer), scope)
  }

  private func isUsable(
    _ cache: AccountCache,
    _ connection: Int64,
    _ renewer: TokenRenewer
  ) async throws -> Bool {
    do {
      let (secrets, scope) = try await secrets(cache, connection, renewer)
      return try await secrets.secret("token", for: scope) == Secret("tok-secret")
    } catch AccountError.revoked {
      return false
    }
  }

  /// When a credential was given out last.
  private final class LastUse: Sendable {
    private let value = Mutex(ContinuousClock.now)
    var at: ContinuousClock.Instant { value.withLock { $0 } }
    func note() { value.withLock { $0 = .now } }
  }

  /// Says yes every other time.
  private final class Kills: Sendable {
    private let count = Mutex(0)
    func isNext() -> Bool {
      count.withLock { count in
        count += 1
        return count.isMultiple(of: 2)
      }
    }
  }

  private func status(_ fixture: PublishingFixture, _ connection: Int64) async throws -> String {
    try await fixture.pool.query("SELECT status FROM platform_connections WHERE id = \(connection)")[0].get(0)
  }

  @Test func aDeliveryOfARevokedAccountIsNotSent() async throws {
    try await PublishingFixture.run(#"ask post post ',"json":{"text":"a"}'; IFS= read -r reply || exit 0; ok 1"#) {
      fixture in
      let id = try await fixture.dispatch()
      let revocations = Revocations(pool: fixture.pool)
      let revocation = try await revocations.begin(.connection(fixture.connection), reason: "Stolen")
      try await fixture.drive()
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .failed)
      #expect(fixture.platform.received.isEmpty)
      // What follows needs no hurry.
      #expect(try await status(fixture, fixture.connection) == "active")
      #expect(try await revocations.round() == 0)
      #expect(try await status(fixture, fixture.connection) == "revoked")
      let ended = try await revocations.revocation(revocation.id)
      #expect(ended.endedAt != nil)
      #expect((ended.connections, ended.unsupported) == (1, 1))
      let sealed: [UInt8] = try await fixture.pool.query(
        "SELECT sealed_credentials FROM platform_connections WHERE id = \(fixture.connection)"
      )[0].get(0)
      #expect(sealed.isEmpty)
      let trail = try await fixture.count("SELECT count(*)::int FROM audit_logs WHERE action = 'connection.revoke'")
      #expect(trail == 1)
      let told = try await fixture.count("SELECT count(*)::int FROM outbox WHERE kind = 'connection.revoked'")
      #expect(told == 1)
    }
  }

  @Test func whatIsInHandIsNotGivenOutEither() async throws {
    try await PublishingFixture.run { fixture in
      let cache = AccountCache(pool: fixture.pool, vault: fixture.vault)
      let (secrets, scope) = try await secrets(cache, fixture.connection, fixture.assembly.renewer)
      #expect(try await secrets.secret("token", for: scope) == Secret("tok-secret"))
      _ = try await Revocations(pool: fixture.pool).begin(.all, reason: "Stolen")
      // A second later at the latest; until then the answer is the one from before.
      var error: EgressError?
      while error == nil {
        do {
          _ = try await secrets.secret("token", for: scope)
        } catch let refused as EgressError {
          error = refused
        }
      }
      #expect(error?.kind == .authRevoked)
    }
  }

  @Test(arguments: ["connection", "site", "platform", "all"])
  func aScopeMeetsItsOwn(kind: String) async throws {
    try await PublishingFixture.run { fixture in
      let other = try await PublishingFixture.makeSite(fixture.pool)
      func connect(_ site: Int64, _ name: String) async throws -> Int64 {
        try await PublishingFixture.connect(fixture.pool, vault: fixture.vault, site: site, account: name).connection
      }
      let mine = fixture.connection
      let second = try await connect(fixture.site, "second")
      let foreign = try await connect(other, "foreign")
      let elsewhere = try await connect(fixture.site, "elsewhere")
      try await fixture.pool.execute("UPDATE platform_connections SET platform = 'other' WHERE id = \(elsewhere)")
      let met: Set<Int64> =
        switch kind {
        case "connection": [mine]
        case "site": [mine, second, elsewhere]
        case "platform": [mine, second, foreign]
        default: [mine, second, foreign, elsewhere]
        }
      let subject = ["connection": "\(mine)", "site": "\(fixture.site)", "platform": "probe"][kind] ?? ""
      let scope = try #require(Revocation.Scope(kind: kind, subject: subject))
      let revocations = Revocations(pool: fixture.pool)
      _ = try await revocations.begin(scope, reason: "Test")
      let cache = AccountCache(pool: fixture.pool, vault: fixture.vault)
      for connection in [mine, second, foreign] {
        #expect(try await isUsable(cache, connection, fixture.assembly.renewer) != met.contains(connection))
      }
      try await revocations.round()
      for connection in [mine, second, foreign, elsewhere] {
        #expect(try await status(fixture, connection) == (met.contains(connection) ? "revoked" : "active"))
      }
      // Once more changes nothing.
      _ = try await revocations.begin(scope, reason: "Again")
      try await revocations.round()
      let again = try #require(try await revocations.list().first)
      #expect((again.connections, again.endedAt != nil) == (0, true))
    }
  }

  @Test func newCredentialsAreNotMeant() async throws {
    try await PublishingFixture.run { fixture in
      let revocations = Revocations(pool: fixture.pool)
      _ = try await revocations.begin(.all, reason: "Stolen")
      let cache = AccountCache(pool: fixture.pool, vault: fixture.vault)
      let epoch = try await cache.revocations.epoch()
      let (later, _) = try await PublishingFixture.connect(
        fixture.pool,
        vault: fixture.vault,
        site: fixture.site,
        account: "later"
      )
      try await fixture.pool.execute(
        "UPDATE platform_connections SET credential_epoch = \(epoch) WHERE id = \(later)"
      )
      try await revocations.round()
      #expect(try await isUsable(cache, later, fixture.assembly.renewer))
      #expect(try await status(fixture, later) == "active")
      #expect(try await !isUsable(cache, fixture.connection, fixture.assembly.renewer))
      // An account without credentials can get new ones.
      let account = try await cache.load(fixture.connection, takesRevoked: true)
      #expect(account.secrets.isEmpty)
    }
  }

  @Test func whatIsNotThereIsRefused() async throws {
    try await PublishingFixture.run { fixture in
      let revocations = Revocations(pool: fixture.pool)
      for scope in [Revocation.Scope.connection(9_999), .site(9_999)] {
        let error = await #expect(throws: PublishingError.self) { try await revocations.begin(scope, reason: "a") }
        #expect(error?.kind == .notFound)
      }
      #expect(Revocation.Scope(kind: "connection", subject: "x") == nil)
      #expect(Revocation.Scope(kind: "world", subject: "") == nil)
    }
  }

  /// V12: 5,000 accounts on two hosts that use them all the time; the work ends in small transactions at any of which it
  /// may be killed.
  @Test func noCredentialIsGivenOutAfterTwoSeconds() async throws {
    try await PublishingFixture.run { fixture in
      let sealed = try await fixture.pool.query(
        "SELECT sealed_credentials FROM platform_connections WHERE id = \(fixture.connection)"
      )
      #expect(sealed.count == 1)
      try await fixture.pool.execute(
        """
        INSERT INTO platform_connections (site_id, platform, account_id, account_name, sealed_credentials, key_id, lane_id)
        SELECT site_id, platform, 'more-' || n, 'More', '\\x53', key_id, lane_id
        FROM platform_connections, generate_series(1, 4999) AS n WHERE id = \(fixture.connection)
        """
      )
      let last = LastUse()
      let revocations = Revocations(pool: fixture.pool)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<2 {
          let cache = AccountCache(pool: fixture.pool, vault: fixture.vault)
          let (secrets, scope) = try await secrets(cache, fixture.connection, fixture.assembly.renewer)
          for _ in 0..<4 {
            group.addTask {
              while true {
                do {
                  _ = try await secrets.secret("token", for: scope)
                  last.note()
                } catch let error as EgressError {
                  #expect(error.kind == .authRevoked)
                  return
                } catch is PostgresError {
                  // The machine is too busy to ask in time; nothing was given out.
                }
              }
            }
          }
        }
        _ = try await revocations.begin(.all, reason: "Everything was stolen")
        let begun = ContinuousClock.now
        try await group.waitForAll()
        #expect(last.at - begun < .seconds(2))
      }
      // Ends after every transaction, as if it were killed there.
      let kills = Kills()
      while try await revocations.round(until: { kills.isNext() }) > 0 {}
      let ended = try #require(try await revocations.list().first)
      #expect((ended.connections, ended.unsupported) == (5_000, 5_000))
      let left = try await fixture.count(
        """
        SELECT count(*)::int FROM platform_connections WHERE status <> 'revoked' OR octet_length(sealed_credentials) > 0
        """
      )
      #expect(left == 0)
      let trail = try await fixture.count("SELECT count(*)::int FROM audit_logs WHERE action = 'connection.revoke'")
      #expect(trail == 5_000)
    }
  }
}
