import FoundationEssentials
import Glibc
import HTTPServer
import Identity
import JSONDocument
import Logging
import Postgres
import TestSupport
import Testing

@testable import AdminAPI

/// What the operations do when all is right.
@Suite(.database) struct OperationTests {
  private static let dispatchPath = "/api/admin/distribution/dispatch"

  private func dispatchBody(_ api: APIFixture, _ post: Int64, _ more: String = "") -> String {
    #"{"postId":\#(post),"connectionIds":[\#(api.connection)]\#(more)}"#
  }

  @Test func theSameKeyMakesOneThing() async throws {
    try await APIFixture.run { api in
      let headers: HTTPHeaders = ["idempotency-key": "key-1"]
      let body = #"{"title":"a"}"#
      let first = await api.send(.post, "/api/posts", json: body, headers: headers)
      let again = await api.send(.post, "/api/posts", json: body, headers: headers)
      #expect(first.status == 201)
      #expect(again.status == 201)
      #expect(again.text == first.text)
      #expect(again.headers["idempotency-replayed"] == "true")
      let other = await api.send(.post, "/api/posts", json: #"{"title":"b"}"#, headers: headers)
      #expect(other.status == 409)
      #expect(other.code == "idempotency_key_reused")
      // The key belongs to its person.
      #expect(await api.send(.post, "/api/posts", as: .admin, json: body, headers: headers).text != first.text)
      let posts = try await api.pool.query("SELECT FROM posts")
      #expect(posts.count == 2)
    }
  }

  @Test func theSameKeyAtOnceMakesOneDistribution() async throws {
    try await APIFixture.run { api in
      let post = try await api.makePost()
      let body = dispatchBody(api, post)
      let answers = await withTaskGroup(of: TestClient.Answer.self) { group in
        for _ in 0..<6 {
          group.addTask {
            await api.send(.post, Self.dispatchPath, json: body, headers: ["idempotency-key": "k"])
          }
        }
        return await group.reduce(into: []) { $0.append($1) }
      }
      #expect(answers.map(\.status) == Array(repeating: 202, count: 6))
      #expect(Set(answers.map(\.text)).count == 1)
      #expect(try await api.pool.query("SELECT FROM deliveries").count == 1)
      #expect(try await api.pool.query("SELECT FROM jobs").count == 1)
    }
  }

  @Test func aRefusedRequestDoesNotUseUpItsKey() async throws {
    try await APIFixture.run { api in
      let headers: HTTPHeaders = ["idempotency-key": "k"]
      #expect(await api.send(.post, Self.dispatchPath, json: dispatchBody(api, 77), headers: headers).status == 404)
      let post = try await api.makePost()
      let answer = await api.send(.post, Self.dispatchPath, json: dispatchBody(api, post), headers: headers)
      #expect(answer.status == 202)
    }
  }

  @Test(arguments: ["", "a b", "é", String(repeating: "k", count: 256)])
  func strangeKeysAreRefused(key: String) async throws {
    try await APIFixture.run { api in
      let answer = await api.send(.post, "/api/posts", json: #"{"title":"a"}"#, headers: ["idempotency-key": key])
      #expect(answer.status == 400)
      #expect(answer.field == "Idempotency-Key")
      let posts = try await api.pool.query("SELECT FROM posts")
      #expect(posts.isEmpty)
    }
  }

  @Test func editsNeedTheVersionThatWasSeen() async throws {
    try await APIFixture.run { api in
      let post = try await api.makePost()
      let path = "/api/posts/\(post)"
      #expect(await api.get(path).headers["etag"] == "\"1\"")
      let edit = await api.send(.put, path, json: #"{"title":"b"}"#, headers: ["if-match": "\"1\""])
      #expect(edit.status == 200)
      #expect(edit.headers["etag"] == "\"2\"")
      let stale = await api.send(.put, path, json: #"{"title":"c"}"#, headers: ["if-match": "\"1\""])
      #expect(stale.status == 409)
      #expect(stale.code == "version_conflict")
      #expect(await api.send(.put, path, json: #"{"title":"d"}"#, headers: ["if-match": "*"]).status == 200)
      for header in ["x", "\"\"", "-1", "\"0\"", "W/\"1\""] {
        #expect(await api.send(.put, path, json: #"{"title":"e"}"#, headers: ["if-match": header]).status == 400)
      }
      #expect(await api.get(path).json.pointer("/data/title")?.stringValue == "d")
      #expect(await api.get(path + "?version=1").json.pointer("/data/title")?.stringValue == "Hello")
      #expect(await api.get(path + "?version=9").code == "version_not_found")
    }
  }

  @Test func pagesShowEverythingOnce() async throws {
    try await APIFixture.run { api in
      var made: [Int64] = []
      for number in 0..<7 { made.append(try await api.makePost("\(number)")) }
      var seen: [Int64] = []
      var target = "/api/posts?limit=3"
      while true {
        let answer = await api.get(target)
        seen += (answer.json.pointer("/data")?.arrayValue ?? []).compactMap { $0.pointer("/id")?.int64Value }
        guard let next = answer.json.pointer("/nextCursor")?.int64Value else { break }
        target = "/api/posts?limit=3&cursor=\(next)"
      }
      #expect(seen == made.reversed())
    }
  }

  @Test func aDispatchIsSeenEverywhere() async throws {
    try await APIFixture.run { api in
      let post = try await api.makePost()
      let answer = await api.send(
        .post,
        Self.dispatchPath,
        json: dispatchBody(api, post, #","scheduledFor":"2030-01-02T03:04:05Z","customMessage":"hi""#)
      )
      #expect(answer.status == 202, "\(answer.text)")
      let id = try #require(answer.json.pointer("/data/deliveries/0/id")?.int64Value)
      let distribution = try #require(answer.json.pointer("/data/distributionId")?.int64Value)
      #expect(answer.json.pointer("/data/jobIds/0")?.stringValue == "\(id)")
      let log = await api.get("/api/admin/distribution/logs/\(id)")
      #expect(log.json.pointer("/data/state")?.stringValue == "pending")
      let status = await api.get("/api/admin/distribution/queue/status")
      #expect(status.json.pointer("/data/delayed")?.int64Value == 1)
      #expect(await api.get("/api/distribution/\(distribution)/status").status == 200)
      #expect(await api.get("/api/admin/distribution/logs/\(id)/explain").status == 200)
      let canceled = await api.send(.post, "/api/admin/distribution/logs/\(id)/cancel")
      #expect(canceled.json.pointer("/data/state")?.stringValue == "canceled")
      #expect(await api.send(.post, "/api/admin/distribution/logs/\(id)/cancel").status == 409)
    }
  }

  @Test func whatTheAdapterRefusesIsNotAccepted() async throws {
    try await APIFixture.run { api in
      let post = try await api.makePost("REFUSE me")
      let before = try await api.rows()
      let answer = await api.send(.post, Self.dispatchPath, json: dispatchBody(api, post))
      #expect(answer.status == 422)
      #expect(answer.code == "post_not_publishable")
      #expect(answer.json.pointer("/error/message")?.stringValue?.contains("Too rude") == true)
      #expect(try await api.rows() == before)
    }
  }

  @Test func bothPlacesOfAnOptionMustAgree() async throws {
    try await APIFixture.run { api in
      let post = try await api.makePost()
      let same = #","customMessage":"a","options":{"customMessage":"a"}"#
      #expect(await api.send(.post, Self.dispatchPath, json: dispatchBody(api, post, same)).status == 202)
      let other = #","customMessage":"a","options":{"customMessage":"b"}"#
      #expect(await api.send(.post, Self.dispatchPath, json: dispatchBody(api, post, other)).status == 422)
      let key = #","options":{"overrides":{"x":{"text":"t"}}}"#
      #expect(await api.send(.post, Self.dispatchPath, json: dispatchBody(api, post, key)).status == 422)
    }
  }

  @Test func aScheduleIsADelivery() async throws {
    try await APIFixture.run { api in
      let post = try await api.makePost()
      let body = #"{"postId":\#(post),"connectionId":\#(api.connection),"scheduledFor":"2030-01-02T03:04:05Z"}"#
      let made = await api.send(.post, "/api/admin/distribution/schedules", json: body)
      #expect(made.status == 201, "\(made.text)")
      let id = try #require(made.json.pointer("/data/id")?.int64Value)
      let path = "/api/admin/distribution/schedules/\(id)"
      #expect(await api.get(path).json.pointer("/data/status")?.stringValue == "pending")
      #expect(await api.send(.post, path + "/dispatch").status == 200)
      #expect(await api.send(.delete, path).status == 200)
      #expect(await api.get(path).json.pointer("/data/status")?.stringValue == "canceled")
      #expect(await api.send(.delete, path).status == 409)
      let both = #"{"postId":\#(post),"connectionId":1,"targetId":1,"scheduledFor":"2030-01-02T03:04:05Z"}"#
      #expect(await api.send(.post, "/api/admin/distribution/schedules", json: both).status == 422)
    }
  }

  @Test func aDiskThatRefusesIsToldToTheOperator() async throws {
    try await APIFixture.run { api in
      try FileManager.default.removeItem(atPath: api.mediaFolder + "/incoming")
      let headers: HTTPHeaders = ["authorization": "Bearer \(try #require(api.tokens[.author]))"]
      let answer = await api.client.send(.post, "/api/media", headers: headers, body: Array("GIF89a".utf8))
      #expect(answer.status == 503)
      #expect(!answer.text.contains(api.mediaFolder))
      let record = try #require(api.log.records.first { $0.message == "The disk refused what a request needed" })
      #expect(record.fields["errno"] == .int(Int(ENOENT)))
    }
  }

  @Test func filesAreStoredByTheirContent() async throws {
    try await APIFixture.run { api in
      let gif = Array("GIF89a".utf8) + [1, 0, 1, 0]
      let headers: HTTPHeaders = ["authorization": "Bearer \(try #require(api.tokens[.author]))"]
      let made = await api.client.send(.post, "/api/media?fileName=a.png&alt=words", headers: headers, body: gif)
      #expect(made.status == 201, "\(made.text)")
      #expect(made.json.pointer("/data/type")?.stringValue == "image/gif")
      let id = try #require(made.json.pointer("/data/id")?.int64Value)
      #expect(await api.get("/api/media/\(id)/content").body == gif)
      let again = await api.client.send(.post, "/api/media", headers: headers, body: gif)
      #expect(again.json.pointer("/data/id")?.int64Value == id)
      #expect(await api.client.send(.post, "/api/media", headers: headers, body: []).code == "file_not_usable")
      #expect(await api.client.send(.post, "/api/media", headers: headers, body: [1, 2, 3]).status == 422)
      let post = await api.send(.post, "/api/posts", json: #"{"title":"a","media":[{"mediaId":\#(id)}]}"#)
      #expect(post.json.pointer("/data/media/0/alt")?.stringValue == "words")
      #expect(await api.send(.post, "/api/posts", json: #"{"title":"a","media":[{"mediaId":999}]}"#).status == 404)
    }
  }

  @Test func anAccountIsConnectedAndItsSecretStaysInside() async throws {
    try await APIFixture.run { api in
      let body = #"{"platform":"test","credentials":{"token":"very-secret-token"}}"#
      let made = await api.send(.post, "/api/admin/distribution/connections", json: body)
      #expect(made.status == 201, "\(made.text)")
      #expect(made.json.pointer("/data/platform")?.stringValue == "probe")
      #expect(!made.text.contains("very-secret-token"))
      #expect(await api.send(.post, "/api/admin/distribution/connections", json: body).status == 409)
      let unknown = #"{"platform":"probe","credentials":{"password":"x"}}"#
      #expect(
        await api.send(.post, "/api/admin/distribution/connections", json: unknown).field == "credentials.password"
      )
      let missing = await api.send(.post, "/api/admin/distribution/connections", json: #"{"platform":"probe"}"#)
      #expect(missing.status == 422)
      let stored = try await api.pool.query("SELECT p::text AS row FROM platform_connections p")
      for row in stored { #expect(try !row.get("row", as: String.self).contains("very-secret-token")) }
    }
  }

  @Test func theOperatorMakesSites() async throws {
    try await APIFixture.run { api in
      let headers: HTTPHeaders = ["authorization": "Bearer \(api.operatorToken)"]
      let made = await api.send(.post, "/api/sites", as: nil, json: #"{"name":"New"}"#, headers: headers)
      #expect(made.status == 201)
      let bad = #"{"name":"New","timeZone":"Mars"}"#
      #expect(await api.send(.post, "/api/sites", as: nil, json: bad, headers: headers).status == 422)
      #expect(await api.send(.get, "/metrics", as: nil, headers: headers).text.hasSuffix("# EOF\n"))
      // Seeing all sites is not the same as writing in them.
      let post = #"{"title":"a","siteId":\#(api.site)}"#
      #expect(await api.send(.post, "/api/posts", as: nil, json: post, headers: headers).status == 404)
    }
  }

  @Test func healthNeedsNoToken() async throws {
    try await APIFixture.run { api in
      #expect(await api.get("/health/live", as: nil).status == 200)
      let health = await api.get("/health", as: nil)
      #expect(health.status == 200)
      #expect(health.json.pointer("/data/version")?.stringValue == "9.9.9")
    }
  }

  @Test func changesAreInTheTrail() async throws {
    try await APIFixture.run { api in
      let post = try await api.makePost()
      _ = await api.send(.put, "/api/posts/\(post)", json: #"{"title":"b"}"#)
      _ = await api.send(.post, Self.dispatchPath, json: dispatchBody(api, post))
      let actions: [String] = try await api.pool.query(
        "SELECT action FROM audit_logs WHERE site_id = \(api.site) ORDER BY id"
      ).map { try $0.get(0) }
      #expect(actions == ["post.create", "post.update", "distribution.create"])
    }
  }

  @Test func anOperatorSetsLimitsAndPeopleSeeThem() async throws {
    try await APIFixture.run { api in
      let path = "/api/admin/distribution/connections/\(api.connection)/limits"
      let platform = "/api/admin/distribution/platforms/probe/limits"
      func asOperator(_ method: HTTPMethod, _ path: String, _ json: String? = nil) async -> TestClient.Answer {
        await api.send(method, path, as: nil, json: json, headers: ["authorization": "Bearer \(api.operatorToken)"])
      }
      #expect(await api.send(.put, path, as: .owner, json: #"{"unlimited":true}"#).status == 403)
      #expect(await api.get(platform).status == 403)
      let none = await api.get(path, as: .viewer)
      #expect(none.status == 200, "\(none.text)")
      #expect(none.text.contains(#""limits":[]"#) && none.text.contains(#""override":null"#))
      let set = await asOperator(.put, path, #"{"count":10,"windowSeconds":60}"#)
      #expect(set.status == 200, "\(set.text)")
      #expect(set.text.contains(#""source":"override""#) && set.text.contains(#""remaining":5"#), "\(set.text)")
      #expect(await asOperator(.put, path, #"{"count":10}"#).field == "windowSeconds")
      #expect(await asOperator(.put, path, #"{"unlimited":true,"count":1,"windowSeconds":1}"#).field == "unlimited")
      #expect(await asOperator(.delete, path).text.contains(#""override":null"#))
      let wide = await asOperator(.put, platform, #"{"perApp":{"count":100,"windowSeconds":60},"perSite":null}"#)
      #expect(wide.status == 200, "\(wide.text)")
      #expect(await api.get(path).text.contains(#""scope":"perApp""#))
      #expect(await asOperator(.put, platform, #"{"perApp":{"count":1}}"#).field == "perApp.windowSeconds")
      #expect(await asOperator(.delete, platform).text.contains(#""perApp":null"#))
      #expect(await asOperator(.get, "/api/admin/distribution/platforms/nothing/limits").status == 404)
      // What keeps an account still is seen there and in the state of the queue.
      try await api.pool.execute(
        "UPDATE lanes SET blocked_until = now() + interval '1 hour', block_reason = 'breaker' WHERE key = 'probe:acc'"
      )
      for target in [path, "/api/admin/distribution/queue/status"] {
        let answer = await api.get(target)
        #expect(answer.text.contains(#""reason":"breaker""#), "\(answer.text)")
      }
    }
  }
}
