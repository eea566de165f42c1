import Postgres
import TestSupport
import Testing

@testable import Sites

@Suite(.database) struct SiteStoreTests {
  private func make(_ pool: Pool, _ name: String, domain: String? = nil, zone: String = "UTC") async throws -> Site {
    try await pool.transaction { tx in
      try await SiteStore(pool: pool).create(name: name, domain: domain, timeZone: zone, in: tx)
    }
  }

  @Test func aSiteHasItsShareOfTheQueue() async throws {
    try await TestDatabase.current.withPool { pool in
      let site = try await make(pool, "One", domain: "one.example", zone: "Europe/Berlin")
      #expect(site.version == 1)
      #expect(try await SiteStore(pool: pool).site(site.id) == site)
      #expect(try await pool.query("SELECT FROM queue_sites WHERE site_id = \(site.id)").count == 1)
    }
  }

  @Test func wrongValuesLeaveNothingBehind() async throws {
    try await TestDatabase.current.withPool { pool in
      _ = try await make(pool, "One", domain: "one.example")
      await #expect(throws: SiteError.domainTaken("one.example")) {
        try await make(pool, "Two", domain: "one.example")
      }
      await #expect(throws: SiteError.unknownTimeZone("Mars/Base")) { try await make(pool, "Two", zone: "Mars/Base") }
      #expect(try await SiteStore(pool: pool).list(ids: nil, after: 0, limit: 10).map(\.name) == ["One"])
    }
  }

  @Test func changesNeedTheVersionThatWasSeen() async throws {
    try await TestDatabase.current.withPool { pool in
      let store = SiteStore(pool: pool)
      let site = try await make(pool, "One", domain: "one.example")
      func update(name: String? = nil, domain: String?? = nil, expected: Int?) async throws -> Site {
        try await pool.transaction { tx in
          try await store.update(
            site.id,
            name: name,
            domain: domain,
            timeZone: nil,
            expectedVersion: expected,
            in: tx
          )
        }
      }
      let renamed = try await update(name: "Two", expected: 1)
      #expect(renamed.version == 2)
      #expect(renamed.domain == "one.example")
      await #expect(throws: SiteError.versionConflict(current: 2)) { try await update(name: "Three", expected: 1) }
      #expect(try await update(domain: .some(nil), expected: nil).domain == nil)
      #expect(try await store.site(site.id).name == "Two")
    }
  }

  @Test func archivedSitesAreGone() async throws {
    try await TestDatabase.current.withPool { pool in
      let store = SiteStore(pool: pool)
      let site = try await make(pool, "One")
      try await pool.execute("UPDATE sites SET archived_at = now()")
      await #expect(throws: SiteError.notFound(site.id)) { try await store.site(site.id) }
      #expect(try await store.list(ids: nil, after: 0, limit: 10).isEmpty)
    }
  }

  @Test func listsInPages() async throws {
    try await TestDatabase.current.withPool { pool in
      let store = SiteStore(pool: pool)
      var ids: [Int64] = []
      for number in 1...5 { ids.append(try await make(pool, "S\(number)").id) }
      #expect(try await store.list(ids: nil, after: 0, limit: 2).map(\.id) == Array(ids[..<2]))
      #expect(try await store.list(ids: nil, after: ids[1], limit: 9).map(\.id) == Array(ids[2...]))
      #expect(try await store.list(ids: [ids[3]], after: 0, limit: 9).map(\.id) == [ids[3]])
      #expect(try await store.list(ids: [], after: 0, limit: 9).isEmpty)
    }
  }
}
