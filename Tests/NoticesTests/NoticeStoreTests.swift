import FoundationEssentials
import Postgres
import Synchronization
import TestSupport
import Testing

@testable import Notices

@Suite(.database, .timeLimit(.minutes(15))) struct NoticeStoreTests {
  @Test func oneNoticeACause() async throws {
    try await NoticeFixture.run { fixture in
      for _ in 0..<3 { try await fixture.event("connection.expired") }
      let open = try await fixture.inbox.list(fixture.viewerReach)
      #expect(open.map(\.kind) == ["connection.expired"])
      #expect(open[0].count == 3)
      #expect(try await fixture.told("notice.opened") == 1)
      try await fixture.event("connection.expired", 8)
      #expect(try await fixture.inbox.list(fixture.viewerReach).count == 2)
      try await fixture.event("connection.active")
      let left = try await fixture.inbox.list(fixture.viewerReach)
      #expect(left.map(\.subject) == ["connection:8"])
      #expect(try await fixture.told("notice.closed") == 1)
      let closed = try await fixture.inbox.list(fixture.viewerReach, state: .closed)
      #expect(closed.count == 1)
      #expect(closed[0].closedAt != nil)
      // The same cause later is a notice of its own.
      try await fixture.event("connection.expired")
      #expect(try await fixture.inbox.list(fixture.viewerReach).count == 2)
      #expect(try await fixture.told("notice.opened") == 3)
    }
  }

  @Test func failuresMustPileUp() async throws {
    try await NoticeFixture.run { fixture in
      let data = #"{"connectionId": 3, "error": {"message": "No"}}"#
      for number in 1...4 { try await fixture.event("delivery.failed", Int64(number), data) }
      #expect(try await fixture.inbox.list(fixture.ownerReach).isEmpty)
      #expect(try await fixture.told("notice.opened") == 0)
      // One success, and counting starts anew; nobody hears of what nobody saw.
      try await fixture.event("delivery.sent", 5, data)
      #expect(try await fixture.pool.query("SELECT FROM notices").isEmpty)
      #expect(try await fixture.told("notice.closed") == 0)
      for number in 6...10 { try await fixture.event("delivery.failed", Int64(number), data) }
      let open = try await fixture.inbox.list(fixture.ownerReach)
      #expect(open.map(\.kind) == ["deliveries.failing"])
      #expect(open[0].count == 5)
      try await fixture.event("delivery.failed", 11, data)
      #expect(try await fixture.inbox.list(fixture.ownerReach)[0].count == 6)
      #expect(try await fixture.told("notice.opened") == 1)
    }
  }

  @Test func failuresOfLongAgoDoNotCount() async throws {
    try await NoticeFixture.run { fixture in
      let data = #"{"connectionId": 3}"#
      for number in 1...4 { try await fixture.event("delivery.failed", Int64(number), data) }
      try await fixture.pool.execute("UPDATE notices SET last_at = now() - interval '2 hours'")
      try await fixture.event("delivery.failed", 5, data)
      #expect(try await fixture.inbox.list(fixture.ownerReach).isEmpty)
      for number in 6...9 { try await fixture.event("delivery.failed", Int64(number), data) }
      #expect(try await fixture.inbox.list(fixture.ownerReach).count == 1)
    }
  }

  @Test func noticesOfTheHostAreForItsOwners() async throws {
    try await NoticeFixture.run { fixture in
      let data = #"{"plugin": "probe", "message": "It died of a secret"}"#
      try await fixture.event("plugin.quarantined", 1, site: 0, data)
      #expect(try await fixture.inbox.list(fixture.viewerReach).isEmpty)
      let open = try await fixture.inbox.list(fixture.ownerReach)
      #expect(open.map(\.site) == [nil])
      // Everybody may hear that there is one, not what it says.
      let event: String = try await fixture.pool.query("SELECT data::text FROM outbox WHERE kind = 'notice.opened'")[0]
        .get(0)
      #expect(!event.contains("probe"))
      #expect(event.contains("host"))
      #expect(try await fixture.inbox.mark(open[0].id, isDismissed: true, fixture.viewerReach) == nil)
      try await fixture.event("plugin.released", 2, site: 0, data)
      #expect(try await fixture.inbox.list(fixture.ownerReach).isEmpty)
    }
  }

  @Test func eachPersonReadsAndDismissesForThemselves() async throws {
    try await NoticeFixture.run { fixture in
      try await fixture.event("connection.expired")
      let id = try await fixture.inbox.list(fixture.viewerReach)[0].id
      let read = try #require(try await fixture.inbox.mark(id, isDismissed: false, fixture.viewerReach))
      #expect(read.readAt != nil)
      #expect(read.dismissedAt == nil)
      let gone = try #require(try await fixture.inbox.mark(id, isDismissed: true, fixture.viewerReach))
      #expect(gone.dismissedAt != nil)
      #expect(try await fixture.inbox.list(fixture.viewerReach).isEmpty)
      #expect(try await fixture.inbox.list(fixture.viewerReach, includesDismissed: true).count == 1)
      #expect(try await fixture.inbox.list(fixture.ownerReach).map(\.readAt) == [nil])
      let elsewhere = NoticeInbox.Reach(user: fixture.viewer, sites: [], includesHost: false)
      #expect(try await fixture.inbox.mark(id, isDismissed: true, elsewhere) == nil)
      #expect(try await fixture.inbox.list(elsewhere, state: .all, includesDismissed: true).isEmpty)
    }
  }

  @Test func statesOpenAndClose() async throws {
    try await NoticeFixture.run { fixture in
      let causes = Mutex<[NoticeCause]>([])
      let state = NoticeState(kind: "test.state") { _ in causes.withLock { $0 } }
      func cause(_ name: String, _ message: String = "m") -> NoticeCause {
        NoticeCause(
          NoticeKey(site: fixture.site, cause: name),
          kind: "test.state",
          severity: .info,
          title: "t",
          message: message
        )
      }
      causes.withLock { $0 = [cause("a"), cause("b")] }
      for _ in 0..<3 { try await fixture.store.look(state) }
      try await fixture.event("connection.expired")
      #expect(try await fixture.inbox.list(fixture.ownerReach).count == 3)
      #expect(try await fixture.told("notice.opened") == 3)
      #expect(try await fixture.inbox.list(fixture.ownerReach).allSatisfy { $0.count == 1 })
      causes.withLock { $0 = [cause("b", "another")] }
      try await fixture.store.look(state)
      let open = try await fixture.inbox.list(fixture.ownerReach)
      #expect(Set(open.map(\.message)).contains("another"))
      #expect(open.count == 2)
      causes.withLock { $0 = [] }
      try await fixture.store.look(state)
      #expect(try await fixture.inbox.list(fixture.ownerReach).map(\.kind) == ["connection.expired"])
      #expect(try await fixture.told("notice.closed") == 2)
    }
  }

  /// One notice for the key of the hosts, one for those of all sites, and none of them twice.
  @Test func oldKeysAreTold() async throws {
    try await TestDatabase.current.withPool { pool in
      let store = NoticeStore(pool: pool, sendsMail: false)
      func open() async throws -> [String] {
        try await store.look(.oldKeys(afterDays: 90))
        return try await pool.query("SELECT cause FROM notices WHERE closed_at IS NULL ORDER BY cause").map {
          try $0.get(0, as: String.self)
        }
      }
      try await pool.batch([
        "INSERT INTO sites (name) VALUES ('One'), ('Two')",
        """
        INSERT INTO vault_keys (purpose, key_number, site_id, status, kcv, activated_at)
        SELECT 'dek', id, id, 'primary', '', now() - interval '89 days' FROM sites
        """,
        """
        INSERT INTO vault_keys (purpose, key_number, status, kcv, activated_at)
        VALUES ('kek', 1, 'primary', '', now() - interval '91 days'), ('audit', 9, 'primary', '', now() - interval '1 year')
        """,
      ])
      #expect(try await open() == ["vault:key:host"])
      try await pool.execute("UPDATE vault_keys SET activated_at = now() - interval '91 days' WHERE purpose = 'dek'")
      #expect(try await open() == ["vault:key:host", "vault:key:sites"])
      #expect(try await open().count == 2)
      try await pool.execute("UPDATE vault_keys SET activated_at = now() WHERE purpose = 'kek'")
      #expect(try await open() == ["vault:key:sites"])
    }
  }

  @Test func connectionsAndQuotasAreLookedAt() async throws {
    try await NoticeFixture.run { fixture in
      func connection(_ name: String, status: String = "active", expires: String? = nil) async throws -> Int64 {
        try await fixture.pool.query(
          """
          INSERT INTO platform_connections (site_id, platform, account_id, account_name, status, sealed_credentials, key_id,
            lane_id, created_at, expires_at)
          VALUES (\(fixture.site), 'probe', \(name), \(name), \(status), '', 1, 1, now() - interval '60 days',
            now() + \(expires)::interval) RETURNING id
          """
        )[0].get(0)
      }
      _ = try await connection("fine", expires: "30 days")
      // An hour of its two hours is left; the host renews such ones all the time.
      let short = try await connection("short", expires: "1 hour")
      try await fixture.pool.execute(
        "UPDATE platform_connections SET last_validated_at = now() - interval '1 hour' WHERE id = \(short)"
      )
      _ = try await connection("ending", expires: "3 days")
      _ = try await connection("dead", status: "expired")
      let busy = try await connection("busy")
      try await fixture.pool.execute(
        """
        INSERT INTO rate_limit_tracking (connection_id, rule, site_id, platform, request_limit, remaining, resets_at)
        VALUES (\(busy), 'post', \(fixture.site), 'probe', 100, 20, now() + interval '1 hour'),
          (\(short), 'post', \(fixture.site), 'probe', 100, 21, now() + interval '1 hour')
        """
      )
      for state in NoticeState.shared { try await fixture.store.look(state) }
      let open = try await fixture.inbox.list(fixture.ownerReach)
      let titles = Set(open.map { "\($0.kind) \($0.title)" })
      #expect(
        titles == [
          "connection.expiring The credentials of ending (probe) end soon",
          "connection.expired dead (probe) must be connected again",
          "quota.low busy (probe) has used most of what its platform allows",
        ]
      )
      try await fixture.pool.execute("UPDATE platform_connections SET deleted_at = now()")
      for state in NoticeState.shared { try await fixture.store.look(state) }
      #expect(try await fixture.inbox.list(fixture.ownerReach).isEmpty)
    }
  }

  @Test func renewalsThatFailAreToldOncePerCause() async throws {
    try await NoticeFixture.run { fixture in
      func connection(_ name: String, fault: String?, failures: Int32, generation: Int64 = 1) async throws {
        try await fixture.pool.execute(
          """
          INSERT INTO platform_connections (site_id, platform, account_id, account_name, sealed_credentials, key_id,
            lane_id, expires_at, renew_at, renewal_generation, renewal_fault, renewal_error, renewal_failures)
          VALUES (\(fixture.site), 'probe', \(name), \(name), '', 1, 1, now() + interval '1 min', now(), \(generation),
            \(fault), 'The platform answered 503', \(failures))
          """
        )
      }
      // Ends soon, and is renewed by itself.
      try await connection("fine", fault: nil, failures: 0)
      try await connection("short", fault: "passing", failures: 3)
      try await connection("failing", fault: "passing", failures: 4)
      // What failed for other credentials than the present ones.
      try await connection("former", fault: "passing", failures: 9, generation: 0)
      try await connection("one", fault: "application", failures: 1)
      try await connection("two", fault: "application", failures: 1)
      for _ in 0..<2 { for state in NoticeState.shared { try await fixture.store.look(state) } }
      let open = try await fixture.inbox.list(fixture.ownerReach)
      #expect(
        Set(open.map { "\($0.kind) \($0.title)" }) == [
          "connection.renewalFailing The token of failing (probe) could not be renewed",
          "application.refused probe refuses the application that accounts were connected with",
        ]
      )
      #expect(open.contains { $0.message.contains("2 accounts") })
      #expect(open.allSatisfy { $0.count == 1 })
      try await fixture.pool.execute("UPDATE platform_connections SET generation = generation + 1")
      for state in NoticeState.shared { try await fixture.store.look(state) }
      #expect(try await fixture.inbox.list(fixture.ownerReach).isEmpty)
    }
  }

  @Test func oldNoticesGo() async throws {
    try await NoticeFixture.run { fixture in
      try await fixture.event("connection.expired", 1)
      try await fixture.event("connection.expired", 2)
      try await fixture.event("connection.active", 1)
      _ = try await fixture.inbox.mark(1, isDismissed: true, fixture.ownerReach)
      try await fixture.pool.execute("UPDATE notices SET closed_at = closed_at - interval '31 days'")
      try await NoticeStore.clean(fixture.pool, olderThan: .seconds(30 * 86_400))
      #expect(try await fixture.inbox.list(fixture.ownerReach, state: .all).map(\.subject) == ["connection:2"])
    }
  }
}
