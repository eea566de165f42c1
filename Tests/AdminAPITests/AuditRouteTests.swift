import Audit
import HTTPServer
import Identity
import JSONDocument
import Postgres
import TestSupport
import Testing

@testable import AdminAPI

@Suite(.database) struct AuditRouteTests {
  private func ask(_ api: APIFixture, _ target: String, as token: String?) async throws -> TestClient.Answer {
    await api.client.send(.get, target, headers: ["authorization": "Bearer \(try #require(token))"])
  }

  private func actions(_ answer: TestClient.Answer) -> [String] {
    (answer.json.pointer("/data")?.arrayValue ?? []).compactMap { $0["action"]?.stringValue }
  }

  @Test func adminsSeeTheirSiteAndOperatorsAll() async throws {
    try await APIFixture.run { api in
      let post = try await api.makePost()
      try await api.pool.batch([
        AuditEntry(.siteUpdate, "site:\(api.otherSite)", site: api.otherSite).insertion,
        AuditEntry(.pluginRemove, "plugin:x", site: nil).insertion,
      ])
      let own = try await ask(api, "/api/audit?siteId=\(api.site)", as: api.tokens[.admin])
      #expect(own.status == 200)
      let sites = Set((own.json.pointer("/data")?.arrayValue ?? []).map { $0["siteId"]?.int64Value })
      #expect(sites == [api.site])
      let row = try #require(own.json.pointer("/data")?.arrayValue?.first { $0["action"] == "post.create" })
      #expect(row["subject"]?.stringValue == "post:\(post)")
      #expect(row["user"]?.stringValue != nil)
      #expect(row["isSealed"] == false && row["seq"]?.isNull == true)

      #expect(try await ask(api, "/api/audit?siteId=\(api.site)", as: api.tokens[.editor]).status == 403)
      #expect(try await ask(api, "/api/audit?siteId=\(api.otherSite)", as: api.tokens[.owner]).status == 404)
      #expect(await api.client.send(.get, "/api/audit").status == 401)

      let all = actions(try await ask(api, "/api/audit", as: api.operatorToken))
      #expect(all.prefix(2) == ["plugin.remove", "site.update"])
      #expect(all.contains("post.create"))
      let other = try await ask(api, "/api/audit?siteId=\(api.otherSite)", as: api.operatorToken)
      #expect(actions(other) == ["site.update"])
    }
  }

  @Test func filtersAndPages() async throws {
    try await APIFixture.run { api in
      for number in 1...5 {
        try await api.pool.execute(AuditEntry(.mediaCreate, "media:\(number)", site: api.site).insertion)
      }
      let base = "/api/audit?siteId=\(api.site)&action=media."
      func subjects(_ more: String) async throws -> [String] {
        let answer = try await ask(api, base + more, as: api.tokens[.owner])
        return (answer.json.pointer("/data")?.arrayValue ?? []).compactMap { $0["subject"]?.stringValue }
      }
      #expect(try await subjects("") == ["media:5", "media:4", "media:3", "media:2", "media:1"])
      #expect(try await subjects("&subject=media:3") == ["media:3"])
      #expect(try await subjects("&until=2020-01-01T00:00:00Z") == [])
      #expect(try await subjects("&since=2020-01-01T00:00:00Z").count == 5)
      let first = try await ask(api, base + "&limit=2", as: api.tokens[.owner])
      let cursor = try #require(first.json.pointer("/nextCursor")?.int64Value)
      #expect(try await subjects("&cursor=\(cursor)") == ["media:3", "media:2", "media:1"])
      #expect(try await ask(api, base + "&since=yesterday", as: api.tokens[.owner]).field == "since")
    }
  }

  @Test func exportsAreWholeAndStandInTheTrail() async throws {
    try await APIFixture.run { api in
      // More than are read at once.
      try await api.pool.execute(
        """
        INSERT INTO audit_logs (site_id, action, subject, user_agent)
        SELECT \(api.site), 'media.delete', 'media:' || n, '=HYPERLINK("x"),' || n FROM generate_series(1, 1203) AS n
        """
      )
      let base = "/api/audit/export?siteId=\(api.site)&action=media.delete"
      let lines = try await ask(api, base + "&format=jsonl", as: api.tokens[.admin])
      #expect(lines.status == 200)
      let rows = try lines.text.split(separator: "\n").map { try JSONValue.parse(Array($0.utf8)) }
      #expect(rows.count == 1203)
      #expect(rows.first?["subject"] == "media:1203" && rows.last?["subject"] == "media:1")
      let csv = try await ask(api, base + "&format=csv", as: api.tokens[.admin])
      let csvLines = csv.text.split(separator: "\r\n")
      #expect(csvLines.count == 1204)
      #expect(csvLines.first == "id,at,siteId,userId,user,action,subject,details,address,userAgent,seq,hash")
      #expect(csvLines.last?.contains(#","'=HYPERLINK(""x""),1","#) == true)
      #expect(try await ask(api, base, as: api.tokens[.admin]).field == "format")
      #expect(try await ask(api, base + "&format=xml", as: api.tokens[.admin]).field == "format")
      let trail = try await api.pool.query(
        "SELECT details->>'format' FROM audit_logs WHERE action = 'audit.export' ORDER BY id"
      )
      #expect(try trail.map { try $0.get(0, as: String.self) } == ["jsonl", "csv"])
    }
  }

  @Test func valuesOfSpreadsheets() {
    #expect(AuditCSV.field(nil) == "")
    #expect(AuditCSV.field("plain") == "plain")
    #expect(AuditCSV.field("a,b") == "\"a,b\"")
    #expect(AuditCSV.field("say \"x\"") == "\"say \"\"x\"\"\"")
    for start in ["=", "+", "-", "@", "\t"] { #expect(AuditCSV.field(start + "1") == "'\(start)1") }
    #expect(AuditCSV.field("a\r\nb") == "\"a\r\nb\"")
  }

  /// Each change of the vault has one row, not none and not two.
  @Test func eachChangeOfTheVaultHasOneRow() async throws {
    try await APIFixture.run { api in
      let headers: HTTPHeaders = ["authorization": "Bearer \(api.operatorToken)", "content-type": "application/json"]
      func post(_ path: String, _ body: String) async -> Int {
        await api.client.send(.post, "/api/admin/vault/\(path)", headers: headers, body: Array(body.utf8)).status
      }
      func rows() async throws -> [String] {
        try await api.pool.query(
          "SELECT action || ' ' || subject FROM audit_logs WHERE action LIKE 'vault.%' ORDER BY id"
        )
        .map { try $0.get(0, as: String.self) }
      }
      #expect(await post("rotations", #"{"siteId":\#(api.site)}"#) == 202)
      let begun = try await rows()
      #expect(begun == ["vault.rotate site:\(api.site)"])
      // What is refused changes nothing and leaves no row.
      #expect(await post("rotations", #"{"siteId":\#(api.site)}"#) == 409)
      #expect(await post("keys/1/destroy", "{}") == 409)
      let refused = try await rows()
      #expect(refused == begun)
      #expect(await post("revocations", #"{"scope":"site","siteId":\#(api.site),"reason":"x"}"#) == 202)
      let all = try await rows()
      #expect(all == begun + ["vault.revoke site:\(api.site)"])
    }
  }
}
