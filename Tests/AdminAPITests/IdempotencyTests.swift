import HTTPServer
import Identity
import JSONDocument
import Postgres
import TestSupport
import Testing

@testable import AdminAPI

/// The same key with the same request makes one thing, however often and however many at once.
@Suite(.database) struct IdempotencyTests {
  private struct Create: Sendable {
    var path: String
    var body: String
    var other: String
    var status = 201
    var table: String
    var token: String?
  }

  private func creates(_ api: APIFixture) async throws -> [Create] {
    let post = try await api.makePost("Keyed")
    let dispatch = #"{"postId":\#(post),"connectionIds":[\#(api.connection)],"scheduledFor":"2030-01-02T03:04:05Z""#
    let plan = #"{"postId":\#(post),"connectionId":\#(api.connection),"scheduledFor":"2031-01-02T03:04:05Z""#
    let base = "/api/admin/distribution"
    return [
      Create(path: "/api/posts", body: #"{"title":"a"}"#, other: #"{"title":"b"}"#, table: "posts"),
      Create(
        path: "\(base)/targets",
        body: #"{"connectionId":\#(api.connection),"name":"t"}"#,
        other: #"{"connectionId":\#(api.connection),"name":"u"}"#,
        table: "publishing_targets"
      ),
      Create(
        path: "\(base)/dispatch",
        body: dispatch + "}",
        other: dispatch + #","priority":3}"#,
        status: 202,
        table: "distributions"
      ),
      Create(
        path: "\(base)/schedules",
        body: plan + "}",
        other: plan + #","priority":4}"#,
        table: "publishing_schedules"
      ),
      Create(
        path: "/api/sites",
        body: #"{"name":"New","domain":"new.example"}"#,
        other: #"{"name":"Newer"}"#,
        table: "sites",
        token: api.operatorToken
      ),
      Create(
        path: "\(base)/connections",
        body: #"{"platform":"probe","credentials":{"token":"secret"}}"#,
        other: #"{"platform":"probe","credentials":{"token":"another"}}"#,
        table: "platform_connections"
      ),
      Create(
        path: "\(base)/webhooks",
        body: #"{"url":"https://receiver.example/a"}"#,
        other: #"{"url":"https://receiver.example/b"}"#,
        table: "event_endpoints"
      ),
    ]
  }

  private func send(_ api: APIFixture, _ create: Create, _ body: String, key: String) async -> TestClient.Answer {
    var headers: HTTPHeaders = ["idempotency-key": key]
    if let token = create.token { headers.set("authorization", "Bearer \(token)") }
    return await api.send(.post, create.path, as: create.token == nil ? .owner : nil, json: body, headers: headers)
  }

  private func count(_ api: APIFixture, _ table: String) async throws -> Int {
    try await api.pool.query("SELECT count(*) FROM \(identifier: table)")[0].get(0)
  }

  @Test func fiftyAtOnceMakeOne() async throws {
    try await APIFixture.run { api in
      for create in try await creates(api) {
        let before = try await count(api, create.table)
        let answers = await withTaskGroup(of: TestClient.Answer.self) { group in
          for _ in 0..<50 { group.addTask { await send(api, create, create.body, key: create.path) } }
          return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(answers.map(\.status)) == [create.status], "\(create.path): \(answers.map(\.text).first ?? "")")
        #expect(Set(answers.map(\.text)).count == 1, "\(create.path)")
        #expect(answers.count { $0.headers["idempotency-replayed"] == nil } == 1, "\(create.path)")
        #expect(try await count(api, create.table) == before + 1, "\(create.path)")
        let other = await send(api, create, create.other, key: create.path)
        #expect(other.status == 409, "\(create.path)")
        #expect(other.code == "idempotency_key_reused", "\(create.path)")
        #expect(try await count(api, create.table) == before + 1, "\(create.path)")
      }
    }
  }

  @Test func aRefusalTakesNoKey() async throws {
    try await APIFixture.run { api in
      let create = try await creates(api)[0]
      #expect(await send(api, create, #"{"title":""}"#, key: "k").status == 400)
      #expect(await send(api, create, create.body, key: "k").status == 201)
      let site = try await creates(api)[4]
      #expect(await send(api, site, #"{"name":"x","timeZone":"Mars"}"#, key: "k").status == 422)
      #expect(await send(api, site, site.body, key: "k").status == 201)
    }
  }

  @Test func theSameFileIsOneUpload() async throws {
    try await APIFixture.run { api in
      let gif = Array("GIF89a".utf8) + [1, 0, 1, 0]
      let headers: HTTPHeaders = [
        "authorization": "Bearer \(try #require(api.tokens[.author]))", "idempotency-key": "k",
      ]
      let first = await api.client.send(.post, "/api/media?fileName=a.gif", headers: headers, body: gif)
      #expect(first.status == 201)
      let again = await api.client.send(.post, "/api/media?fileName=a.gif", headers: headers, body: gif)
      #expect(again.text == first.text)
      #expect(again.headers["idempotency-replayed"] == "true")
      let other = await api.client.send(.post, "/api/media?fileName=a.gif", headers: headers, body: gif + [0])
      #expect(other.code == "idempotency_key_reused")
    }
  }

  @Test func everyCreateTakesAKey() async throws {
    try await APIFixture.run { api in
      let tested = Set(try await creates(api).map(\.path) + ["/api/media"])
      let document = try JSONValue.parse(Array(api.api.description.utf8))
      for (path, methods) in document.pointer("/paths")?.objectValue ?? [:] {
        guard let post = methods.objectValue?["post"] else { continue }
        let takesKey = (post.pointer("/parameters")?.arrayValue ?? []).contains {
          $0.pointer("/name")?.stringValue == "Idempotency-Key"
        }
        #expect(takesKey == tested.contains(path), "\(path)")
        if post.pointer("/responses/201") != nil { #expect(takesKey, "\(path) makes something") }
      }
    }
  }

  @Test func secretsAreNotKeptWithTheKey() async throws {
    try await APIFixture.run { api in
      let creates = try await creates(api)
      #expect(await send(api, creates[5], creates[5].body, key: "k").status == 201)
      let webhook = await send(api, creates[6], creates[6].body, key: "l")
      let made = try #require(webhook.json.pointer("/data/secret")?.stringValue)
      for row in try await api.pool.query("SELECT i::text AS row FROM idempotency_keys i") {
        let text: String = try row.get("row")
        #expect(!text.contains("secret\""))
        #expect(!text.contains(made))
      }
    }
  }
}
