import FoundationEssentials
import Outbox
import Postgres
import TestSupport

@testable import Notices

/// Notices over a real database: a site with an owner and a viewer, and an operator.
struct NoticeFixture {
  let pool: Pool
  let store: NoticeStore
  let inbox: NoticeInbox
  let site: Int64
  let owner: Int64
  let viewer: Int64
  let operatorUser: Int64

  var ownerReach: NoticeInbox.Reach { NoticeInbox.Reach(user: owner, sites: [site], includesHost: true) }
  var viewerReach: NoticeInbox.Reach { NoticeInbox.Reach(user: viewer, sites: [site], includesHost: false) }

  func event(_ kind: String, _ subject: Int64 = 7, site: Int64? = nil, _ data: String = "{}") async throws {
    let event = OutboxEvent(
      eventID: UUID(),
      site: site ?? self.site,
      kind: kind,
      subject: subject,
      data: data,
      createdAt: Date()
    )
    try await pool.transaction { tx in try await store.consume([event], tx) }
  }

  func told(_ kind: String) async throws -> Int {
    try await pool.query("SELECT FROM outbox WHERE kind = \(kind)").count
  }

  static func run(mail: Bool = false, _ body: (NoticeFixture) async throws -> Void) async throws {
    try await TestDatabase.current.withPool(size: 6) { pool in
      let site: Int64 = try await pool.query("INSERT INTO sites (name) VALUES ('One') RETURNING id")[0].get(0)
      var users: [Int64] = []
      for (name, role) in [("owner", "owner"), ("viewer", "viewer"), ("operator", nil as String?)] {
        let isOperator = role == nil
        let user: Int64 = try await pool.query(
          "INSERT INTO users (email, name, is_operator) VALUES (\(name + "@a.example"), \(name), \(isOperator)) RETURNING id"
        )[0].get(0)
        if let role {
          try await pool.execute("INSERT INTO site_users (site_id, user_id, role) VALUES (\(site), \(user), \(role))")
        }
        users.append(user)
      }
      try await body(
        NoticeFixture(
          pool: pool,
          store: NoticeStore(pool: pool, sendsMail: mail),
          inbox: NoticeInbox(pool: pool),
          site: site,
          owner: users[0],
          viewer: users[1],
          operatorUser: users[2]
        )
      )
    }
  }
}
