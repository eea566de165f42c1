import FoundationEssentials
import FuzzSupport
import HTTPServer
import Identity
import JSONDocument
import Postgres
import TestSupport
import Testing

@testable import AdminAPI

/// Two sites full of things, each with its own people: nobody reads or changes anything of the other one.
@Suite(.database, .timeLimit(.minutes(60))) struct SiteSeparationTests {
  /// A site with a row of every kind that requests can make.
  private struct Furnished {
    let site: Int64
    /// Stands in every text of the site.
    let mark: String
    let tokens: [Role: String]
  }

  private func furnish(_ api: APIFixture, _ site: Int64, _ mark: String) async throws -> Furnished {
    var tokens: [Role: String] = [:]
    for role in Role.allCases {
      tokens[role] = try await api.token(role, in: site, email: "\(role.rawValue)-\(mark)@a.example")
    }
    try await api.pool.execute("UPDATE sites SET name = \(mark) WHERE id = \(site)")
    let connection = try await api.connect(mark, site: site)
    let owner: HTTPHeaders = ["authorization": "Bearer \(try #require(tokens[.owner]))"]
    func make(_ path: String, _ json: String) async throws -> Int64 {
      let answer = await api.send(.post, path, as: nil, json: json, headers: owner)
      try #require(answer.status < 300, "\(path): \(answer.text)")
      return answer.json.pointer("/data/id")?.int64Value ?? answer.json.pointer("/data/distributionId")?.int64Value ?? 0
    }
    let later = RFC3339.format(Date().addingTimeInterval(30 * 86_400))
    for number in 0..<3 {
      let post = try await make("/api/posts", #"{"title":"\#(mark) \#(number)"}"#)
      _ = try await make(
        "/api/admin/distribution/dispatch",
        #"{"postId":\#(post),"connectionIds":[\#(connection)]}"#
      )
      _ = try await make(
        "/api/admin/distribution/schedules",
        #"{"postId":\#(post),"connectionId":\#(connection),"scheduledFor":"\#(later)"}"#
      )
    }
    _ = try await make(
      "/api/admin/distribution/targets",
      #"{"connectionId":\#(connection),"name":"\#(mark)"}"#
    )
    _ = try await make(
      "/api/admin/distribution/webhooks",
      #"{"url":"https://hooks.example/\#(mark)","eventTypes":["delivery.sent"]}"#
    )
    return Furnished(site: site, mark: mark, tokens: tokens)
  }

  private func withSites(_ body: (APIFixture, Furnished, Furnished) async throws -> Void) async throws {
    try await APIFixture.run({ $0.token = .init(burst: 1e9, perSecond: 1e9) }) { api in
      // The ids of one lie before those of the other one.
      let first = try await furnish(api, api.site, "canary-one")
      let second = try await furnish(api, api.otherSite, "canary-two")
      try await body(api, first, second)
    }
  }

  private func tables(_ pool: Pool) async throws -> [String] {
    try await pool.query(
      """
      SELECT c.relname::text FROM pg_class c
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'site_id' AND NOT a.attisdropped
      WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      ORDER BY 1
      """
    ).map { try $0.get(0) }
  }

  /// A fingerprint of every row of a site, by table.
  private func fingerprints(_ pool: Pool, of site: Int64) async throws -> [String: String] {
    var prints: [String: String] = [:]
    for table in try await tables(pool) {
      prints[table] = try await pool.query(
        """
        SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text)), '')
        FROM \(identifier: table) t WHERE site_id = \(site)
        """
      )[0].get(0)
    }
    prints["sites"] = try await pool.query("SELECT t::text FROM sites t WHERE id = \(site)")[0].get(0)
    return prints
  }

  // MARK: Generated requests

  @Test func generatedRequestsNeverCross() async throws {
    try await withSites { api, first, second in
      var random = FuzzRun.random("sites")
      for (own, foreign) in [(first, second), (second, first)] {
        let before = try await fingerprints(api.pool, of: foreign.site)
        #expect(before.values.filter { !$0.hasPrefix("0 ") }.count >= 10, "\(before)")
        var taken = 0
        for _ in 0..<FuzzRun.cases(400, long: 5_000) {
          let (method, target, body) = try await request(api, own, foreign, &random)
          let token = try #require(own.tokens[random.one(of: Role.allCases)])
          let answer = await api.send(
            method,
            target,
            as: nil,
            json: body,
            headers: ["authorization": "Bearer \(token)"]
          )
          let shown = "\(method) \(target) \(body ?? ""): \(answer.status) \(answer.text)"
          try FuzzRun.hold(!answer.text.contains(foreign.mark), "Read across sites: \(shown)")
          try FuzzRun.hold(answer.status < 500 || answer.status == 503, shown)
          if answer.status < 300 { taken += 1 }
        }
        // Requests that are all refused would prove nothing.
        #expect(taken > FuzzRun.cases(400, long: 5_000) / 20)
        #expect(try await fingerprints(api.pool, of: foreign.site) == before, "Written across sites")
      }
    }
  }

  /// Any operation, with ids of both sites in the path, the query and the body.
  private func request(
    _ api: APIFixture,
    _ own: Furnished,
    _ foreign: Furnished,
    _ random: inout FuzzRandom
  ) async throws -> (HTTPMethod, String, String?) {
    let endpoint = random.one(of: AdminAPI.endpoints)
    func id(_ random: inout FuzzRandom) -> Int64 {
      random.index(20) == 0 ? random.one(of: [own.site, foreign.site]) : Int64(random.index(14)) + 1
    }
    var isSitesOwn = false
    if case .siteInPath = endpoint.access { isSitesOwn = true }
    var path = ""
    for part in endpoint.path.split(separator: "/") {
      let isID = part.hasPrefix("{")
      let value = isSitesOwn ? random.one(of: [own.site, foreign.site]) : id(&random)
      path += "/" + (isID ? (part == "{plugin}" ? "probe" : "\(value)") : String(part))
    }
    let site: Int64? = random.one(of: [own.site, own.site, own.site, foreign.site, nil])
    var query = site.map { ["siteId=\($0)"] } ?? []
    for field in endpoint.query where field.name != "siteId" && random.index(6) == 0 {
      if case .integer(let range) = field.schema {
        query.append("\(field.name)=\(range.contains(50) && range.upperBound < 1_000 ? 50 : id(&random))")
      }
    }
    let target = path + (query.isEmpty ? "" : "?" + query.joined(separator: "&"))
    guard let schema = endpoint.body, !endpoint.isUpload else { return (endpoint.method, target, nil) }
    let sample = sent(schema.sample, &random, own, foreign)
    return (endpoint.method, target, sample.text())
  }

  /// A sample with other ids, and some members left out.
  private func sent(
    _ value: JSONValue,
    _ random: inout FuzzRandom,
    _ own: Furnished,
    _ foreign: Furnished
  ) -> JSONValue {
    guard let members = value.objectValue else { return value }
    var result: [String: JSONValue] = [:]
    for (name, member) in members.sorted(by: { $0.key < $1.key }) {
      if random.index(4) == 0 { continue }
      if name == "siteId" {
        result[name] = .int(random.one(of: [own.site, own.site, foreign.site]))
      } else if name.hasSuffix("Id"), member.int64Value != nil {
        result[name] = .int(Int64(random.index(14)) + 1)
      } else if name.hasSuffix("Ids"), member.arrayValue != nil {
        result[name] = .array([.int(Int64(random.index(14)) + 1)])
      } else {
        result[name] = sent(member, &random, own, foreign)
      }
    }
    return .object(result)
  }

  // MARK: What the database shows

  /// The tables behind the lists.
  private static let lists = [
    "/api/posts": "posts", "/api/media": "media", "/api/admin/distribution/connections": "platform_connections",
    "/api/admin/distribution/targets": "publishing_targets", "/api/admin/distribution/queue": "distribution_logs",
    "/api/admin/distribution/schedules": "publishing_schedules", "/api/distribution/history": "distributions",
    "/api/admin/distribution/webhooks": "event_endpoints", "/api/members": "site_users",
  ]

  /// The ids that a session of the API's own role sees, with nothing of the host between.
  private func seen(_ pool: Pool, _ table: String, in site: Int64) async throws -> [Int64] {
    try await pool.transaction { tx in
      try await tx.execute("SET LOCAL ROLE rostrum_api")
      try await tx.execute("SELECT set_config('app.site_id', \("\(site)"), true)")
      let column = table == "site_users" ? "user_id" : "id"
      return try await tx.query("SELECT \(identifier: column) FROM \(identifier: table) ORDER BY 1").map {
        try $0.get(0)
      }
    }
  }

  @Test func listsShowWhatTheDatabaseShows() async throws {
    try await withSites { api, first, second in
      for own in [first, second] {
        for (path, table) in Self.lists.sorted(by: { $0.key < $1.key }) {
          let endpoint = try #require(AdminAPI.endpoints.first { $0.path == path && $0.method == .get })
          guard case .site(let permission) = endpoint.access else {
            Issue.record("\(path) is no list of a site")
            continue
          }
          let expected = try await seen(api.pool, table, in: own.site)
          #expect(path == "/api/media" || !expected.isEmpty, "\(path)")
          for role in Role.allCases {
            let token = try #require(own.tokens[role])
            let answer = await api.send(
              .get,
              path + "?limit=100",
              as: nil,
              headers: ["authorization": "Bearer \(token)"]
            )
            guard role.allows(permission) else {
              #expect(answer.status == 403, "\(path) as \(role)")
              continue
            }
            let rows = answer.json.pointer("/data")?.arrayValue ?? []
            let ids = rows.compactMap { row in
              ["/id", "/userId", "/distributionId"].lazy.compactMap { row.pointer($0)?.int64Value }.first
            }
            #expect(ids.sorted() == expected, "\(path) as \(role): \(answer.status) \(answer.text.prefix(300))")
          }
        }
      }
    }
  }

  /// Every list of a site is in the table above, so that a new one is compared too.
  @Test func allListsAreCompared() {
    let pages = AdminAPI.endpoints.filter { endpoint in
      guard case .page = endpoint.success, case .site = endpoint.access else { return false }
      return endpoint.parameters.isEmpty
    }
    #expect(Set(pages.map(\.path)).subtracting(Self.lists.keys) == Self.notCompared)
  }

  /// Parts of other lists.
  private static let notCompared: Set<String> = ["/api/admin/distribution/queue/failed"]

  @Test func theConfinedRoleReachesOneSite() async throws {
    try await withSites { api, first, second in
      for (own, foreign) in [(first, second), (second, first)] {
        let before = try await fingerprints(api.pool, of: foreign.site)
        for table in try await tables(api.pool) {
          let rights = try await api.pool.query(
            """
            SELECT has_table_privilege('rostrum_api', \(table)::regclass, 'SELECT'),
              has_table_privilege('rostrum_api', \(table)::regclass, 'UPDATE'),
              has_table_privilege('rostrum_api', \(table)::regclass, 'DELETE')
            """
          )[0]
          if try rights.get(0) {
            // What belongs to site 0 belongs to the host, such as the pools of platforms.
            let foreignRows: Int = try await confined(api.pool, own.site) { tx in
              try await tx.query(
                "SELECT count(*) FROM \(identifier: table) WHERE coalesce(site_id, -1) NOT IN (0, \(own.site))"
              )[0].get(0)
            }
            #expect(foreignRows == 0, "\(table)")
          }
          if try rights.get(1) {
            let count = try await confined(api.pool, own.site) { tx in
              try await tx.execute("UPDATE \(identifier: table) SET site_id = site_id WHERE site_id = \(foreign.site)")
            }
            #expect(count == 0, "\(table)")
          }
          if try rights.get(2) {
            let count = try await confined(api.pool, own.site) { tx in
              try await tx.execute("DELETE FROM \(identifier: table) WHERE site_id = \(foreign.site)")
            }
            #expect(count == 0, "\(table)")
          }
        }
        #expect(try await fingerprints(api.pool, of: foreign.site) == before)
      }
    }
  }

  private func confined<Value>(
    _ pool: Pool,
    _ site: Int64,
    _ body: (Transaction) async throws -> Value
  ) async throws -> Value {
    try await pool.transaction { tx in
      try await tx.execute("SET LOCAL ROLE rostrum_api")
      try await tx.execute("SELECT set_config('app.site_id', \("\(site)"), true)")
      return try await body(tx)
    }
  }
}
