import Audit
import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.database) struct AuditEntryTests {
  private func site(_ pool: Pool) async throws -> Int64 {
    try await pool.query("INSERT INTO sites (name) VALUES ('Site') RETURNING id")[0].get(0)
  }

  @Test func anEntryIsReadAsItWasWritten() async throws {
    try await TestDatabase.current.withPool { pool in
      let site = try await site(pool)
      let user: Int64 = try await pool.query(
        "INSERT INTO users (email, name) VALUES ('a@example.org', 'Ada') RETURNING id"
      )[0].get(0)
      let entry = AuditEntry(
        .postUpdate,
        "post:1",
        site: site,
        user: user,
        details: "jsonb_build_object('version', 2)",
        address: "192.0.2.1",
        userAgent: String(repeating: "u", count: 1_000)
      )
      // The confined role writes and reads rows of its site.
      try await pool.execute(entry.insertion, scope: .site(site))
      try await pool.execute(AuditEntry.byCommandLine(.userCreate, "user:\(user)").insertion)

      var filter = AuditLog.Filter()
      filter.site = site
      let own = try await AuditLog(pool: pool).list(filter, limit: 10)
      let record = try #require(own.first)
      #expect(own.count == 1)
      #expect((record.action, record.subject, record.site, record.user) == ("post.update", "post:1", site, user))
      #expect((record.userName, record.address, record.details) == ("Ada", "192.0.2.1", #"{"version": 2}"#))
      #expect(record.userAgent?.count == 300)
      #expect(record.seq == nil && record.hash == nil)
      let all = try await AuditLog(pool: pool).list(AuditLog.Filter(), limit: 10)
      #expect(all.map(\.action) == ["user.create", "post.update"])
      #expect(all[0].details == #"{"by": "command line"}"#)
    }
  }

  @Test func filtersAndPagesFit() async throws {
    try await TestDatabase.current.withPool { pool in
      let (first, second) = (try await site(pool), try await site(pool))
      for index in 1...9 {
        let action: AuditAction = index % 3 == 0 ? .vaultRotate : .postCreate
        try await pool.execute(
          AuditEntry(action, "post:\(index)", site: index % 2 == 0 ? first : second).insertion
        )
      }
      let log = AuditLog(pool: pool)
      func subjects(_ change: (inout AuditLog.Filter) -> Void) async throws -> [String] {
        var filter = AuditLog.Filter()
        change(&filter)
        return try await log.list(filter, limit: 100).map(\.subject)
      }
      #expect(try await subjects { $0.actionPrefix = "vault." } == ["post:9", "post:6", "post:3"])
      #expect(try await subjects { $0.site = first } == ["post:8", "post:6", "post:4", "post:2"])
      #expect(try await subjects { $0.subject = "post:5" } == ["post:5"])
      // No pattern of LIKE: the text is meant as it is.
      #expect(try await subjects { $0.actionPrefix = "%" } == [])
      #expect(try await subjects { $0.until = Date(timeIntervalSince1970: 0) } == [])
      #expect(try await subjects { $0.since = Date(timeIntervalSince1970: 0) }.count == 9)
      let page = try await log.list(AuditLog.Filter(), limit: 4)
      let next = try await log.list(AuditLog.Filter(), before: page.last?.id, limit: 100)
      #expect((page + next).map(\.subject) == (1...9).reversed().map { "post:\($0)" })
    }
  }

  /// What is said of a row is said with it; place and time are the host's.
  @Test func requestsCanNotSealOrDateRows() async throws {
    try await TestDatabase.current.withPool { pool in
      let site = try await site(pool)
      for column in ["seq", "hash", "created_at", "xid"] {
        let error = await #expect(throws: PostgresError.self) {
          try await pool.execute(
            "INSERT INTO audit_logs (site_id, action, subject, \(identifier: column)) VALUES (\(site), 'a', 's', NULL)",
            scope: .site(site)
          )
        }
        #expect(error?.sqlState == "42501", "\(column)")
      }
    }
  }

  @Test func rowsAreNotChangedByAnybody() async throws {
    try await TestDatabase.current.withPool { pool in
      try await pool.execute(AuditEntry(.siteCreate, "site:1", site: nil).insertion)
      let attempts: [SQL] = [
        "UPDATE audit_logs SET subject = 'site:2'", "UPDATE audit_logs SET created_at = now() - interval '1 day'",
        "DELETE FROM audit_logs", "TRUNCATE audit_logs",
        // Sealing changes the seal and nothing else.
        """
        UPDATE audit_logs SET seq = 1, prev_hash = '', hash = '', mac = '', mac_key = 1, subject = 'site:2'
        """,
      ]
      for attempt in attempts {
        let error = await #expect(throws: PostgresError.self) { try await pool.execute(attempt) }
        #expect(error?.sqlState == "42501", "\(attempt)")
      }
      try await pool.execute("UPDATE audit_logs SET seq = 1, prev_hash = '', hash = '', mac = '', mac_key = 1")
      await #expect(throws: PostgresError.self) { try await pool.execute("UPDATE audit_logs SET seq = 2") }
      await #expect(throws: PostgresError.self) {
        try await pool.execute(
          "UPDATE audit_logs SET seq = NULL, prev_hash = NULL, hash = NULL, mac = NULL, mac_key = NULL"
        )
      }
      await #expect(throws: PostgresError.self) { try await pool.execute("DELETE FROM audit_logs") }
    }
  }

  @Test func actionsHaveOneForm() {
    let form = #/[a-z-]+\.[a-zA-Z-]+/#
    for action in AuditAction.allCases {
      #expect(action.rawValue.wholeMatch(of: form) != nil, "\(action.rawValue)")
    }
  }
}
