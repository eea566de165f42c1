import HTTPServer
import Identity
import JSONDocument
import Postgres
import TestSupport
import Testing

@testable import AdminAPI

/// Webhooks and notices over HTTP: who may, what is refused, what is shown.
@Suite(.database) struct WebhookRouteTests {
  private static let base = "/api/admin/distribution/webhooks"

  private func make(
    _ api: APIFixture,
    _ body: String = #"{"url":"https://example.org/hook?key=abc"}"#
  ) async throws -> Int64 {
    let answer = await api.send(.post, Self.base, as: .admin, json: body)
    try #require(answer.status == 201, "\(answer.text)")
    return try #require(answer.json.pointer("/data/id")?.int64Value)
  }

  @Test func theSecretIsShownOnce() async throws {
    try await APIFixture.run { api in
      let answer = await api.send(.post, Self.base, as: .admin, json: #"{"url":"https://example.org/a"}"#)
      let id = try #require(answer.json.pointer("/data/id")?.int64Value)
      let secret = try #require(answer.json.pointer("/data/secret")?.stringValue)
      #expect(secret.hasPrefix("whsec_"))
      for target in ["\(Self.base)/\(id)", Self.base] {
        let shown = await api.get(target)
        #expect(shown.status == 200)
        #expect(!shown.text.contains("whsec_"))
      }
      let rotated = await api.send(.post, "\(Self.base)/\(id)/rotate", json: #"{"overlapHours":1}"#)
      let other = try #require(rotated.json.pointer("/data/secret")?.stringValue)
      #expect(other != secret)
      #expect(rotated.json.pointer("/data/previousSecretUntil")?.stringValue != nil)
      let kept = try await api.pool.query("SELECT response FROM idempotency_keys")
      #expect(kept.isEmpty)
    }
  }

  @Test func onlyAdministratorsMay() async throws {
    try await APIFixture.run { api in
      let id = try await make(api)
      let requests: [(HTTPMethod, String, String?)] = [
        (.get, Self.base, nil), (.post, Self.base, #"{"url":"https://example.org/b"}"#),
        (.get, "\(Self.base)/\(id)", nil),
        (.patch, "\(Self.base)/\(id)", #"{"isActive":false}"#), (.delete, "\(Self.base)/\(id)", nil),
        (.post, "\(Self.base)/\(id)/rotate", "{}"), (.post, "\(Self.base)/\(id)/test", nil),
        (.get, "\(Self.base)/\(id)/messages", nil), (.get, "\(Self.base)/\(id)/messages/1", nil),
        (.post, "\(Self.base)/\(id)/replay", #"{"messageId":1}"#),
      ]
      let before = try await api.rows()
      for (method, target, body) in requests {
        let answer = await api.send(method, target, as: .editor, json: body)
        #expect(answer.status == 403, "\(method) \(target): \(answer.text)")
        // Nobody reaches it through another site.
        let separator = target.contains("?") ? "&" : "?"
        let elsewhere = await api.send(method, "\(target)\(separator)siteId=\(api.otherSite)", json: body)
        #expect(elsewhere.status == 404, "\(method) \(target): \(elsewhere.text)")
      }
      #expect(try await api.rows() == before)
      let host = await api.send(.patch, "\(Self.base)/\(id)", as: .admin, json: #"{"hostEvents":true}"#)
      #expect(host.status == 403)
      #expect(host.field == "hostEvents")
      #expect(await api.send(.patch, "\(Self.base)/\(id)", as: .owner, json: #"{"hostEvents":true}"#).status == 200)
    }
  }

  @Test(arguments: [
    (#"{"url":"http://example.org/"}"#, 422, "url"), (#"{"url":"https://127.0.0.1/"}"#, 422, "url"),
    (#"{"url":"https://10.0.0.1/x"}"#, 422, "url"), (#"{"url":"ftp://example.org/"}"#, 400, "url"),
    (#"{}"#, 400, "url"), (#"{"url":"https://example.org/","eventTypes":["delivery.snet"]}"#, 422, "eventTypes"),
    (#"{"url":"https://example.org/","secret":"whsec_x"}"#, 400, "secret"),
    (#"{"url":"https://user:pass@example.org/"}"#, 400, "url"),
  ])
  func strangeOnesAreRefused(body: String, status: Int, field: String) async throws {
    try await APIFixture.run { api in
      let answer = await api.send(.post, Self.base, json: body)
      #expect(answer.status == status, "\(answer.text)")
      #expect(answer.field == field)
      let rows = try await api.pool.query("SELECT FROM event_endpoints")
      #expect(rows.isEmpty)
    }
  }

  @Test func changesAndRefusals() async throws {
    try await APIFixture.run { api in
      let id = try await make(api)
      let twice = await api.send(.post, Self.base, json: #"{"url":"https://example.org/hook?key=abc"}"#)
      #expect(twice.status == 409)
      #expect(twice.code == "webhook_exists")
      let changed = await api.send(
        .patch,
        "\(Self.base)/\(id)",
        json: #"{"eventTypes":["delivery.*"],"isActive":false,"description":"d"}"#
      )
      #expect(changed.json.pointer("/data/eventTypes/0")?.stringValue == "delivery.*")
      #expect(changed.json.pointer("/data/isActive")?.boolValue == false)
      #expect(changed.json.pointer("/data/url")?.stringValue == "https://example.org/hook?key=abc")
      #expect(await api.send(.post, "\(Self.base)/\(id)/test").code == "webhook_inactive")
      _ = await api.send(.patch, "\(Self.base)/\(id)", json: #"{"isActive":true}"#)
      let tested = await api.send(.post, "\(Self.base)/\(id)/test")
      #expect(tested.status == 202)
      let message = try #require(tested.json.pointer("/data/id")?.int64Value)
      let story = await api.get("\(Self.base)/\(id)/messages/\(message)")
      #expect(story.json.pointer("/data/body/type")?.stringValue == "webhook.test")
      #expect(story.json.pointer("/data/log")?.arrayValue?.isEmpty == true)
      for (body, status) in [
        (#"{"messageId":\#(message)}"#, 409), (#"{"messageId":999}"#, 404), ("{}", 400),
        (#"{"messageId":1,"since":"2026-11-21T09:00:00Z"}"#, 400), (#"{"since":"yesterday"}"#, 400),
        (#"{"since":"2026-11-21T09:00:00Z"}"#, 202),
      ] {
        let answer = await api.send(.post, "\(Self.base)/\(id)/replay", json: body)
        #expect(answer.status == status, "\(body): \(answer.text)")
      }
      let audited = try await api.pool.query(
        "SELECT DISTINCT action FROM audit_logs WHERE subject = \("webhook:\(id)")"
      )
      #expect(audited.count >= 4)
      #expect(await api.send(.delete, "\(Self.base)/\(id)").status == 200)
      #expect(await api.get("\(Self.base)/\(id)").status == 404)
    }
  }

  @Test func everyKindIsDescribed() async throws {
    try await APIFixture.run { api in
      let document = try JSONValue.parse(await api.get("/openapi.json", as: nil).body)
      let webhooks = try #require(document.pointer("/webhooks")?.objectValue)
      #expect(webhooks.count > 20)
      for (name, item) in webhooks {
        let schema = item.pointer("/post/requestBody/content/application~1json/schema")
        #expect(schema?.pointer("/properties/type/enum/0")?.stringValue == name, "\(name)")
      }
    }
  }

  // MARK: Notices

  private func notice(_ api: APIFixture, site: Int64?, _ cause: String) async throws -> Int64 {
    try await api.pool.query(
      """
      INSERT INTO notices (site_id, cause, kind, severity, title, message, opened_at, is_announced)
      VALUES (\(site), \(cause), 'test', 'warning', \(cause), 'm', now(), true) RETURNING id
      """
    )[0].get(0)
  }

  private func titles(_ api: APIFixture, as role: Role, _ query: String = "") async -> [String] {
    await api.get("/api/notices\(query)", as: role).json.pointer("/data")?.arrayValue?
      .compactMap { $0["title"]?.stringValue } ?? ["refused"]
  }

  @Test func noticesReachWhoTheyAreFor() async throws {
    try await APIFixture.run { api in
      let ours = try await notice(api, site: api.site, "ours")
      let theirs = try await notice(api, site: api.otherSite, "theirs")
      let host = try await notice(api, site: nil, "host")
      #expect(await titles(api, as: .viewer) == ["ours"])
      #expect(await titles(api, as: .admin) == ["ours"])
      #expect(await titles(api, as: .owner) == ["host", "ours"])
      #expect(await titles(api, as: .owner, "?siteId=\(api.site)") == ["ours"])
      #expect(await api.get("/api/notices?siteId=\(api.otherSite)").status == 404)
      for id in [theirs, host, 999] {
        #expect(await api.send(.post, "/api/notices/\(id)/dismiss", as: .viewer).status == 404, "\(id)")
      }
      let read = await api.send(.post, "/api/notices/\(ours)/read", as: .viewer)
      #expect(read.json.pointer("/data/readAt")?.stringValue != nil)
      #expect(await api.send(.post, "/api/notices/\(ours)/dismiss", as: .viewer).status == 200)
      #expect(await titles(api, as: .viewer).isEmpty)
      #expect(await titles(api, as: .viewer, "?dismissed=true") == ["ours"])
      #expect(await titles(api, as: .owner) == ["host", "ours"])
      #expect(await titles(api, as: .owner, "?state=closed").isEmpty)
    }
  }

  @Test func eachPersonChoosesMails() async throws {
    try await APIFixture.run { api in
      let path = "/api/notices/settings"
      #expect(await api.get(path).json.pointer("/data/email")?.isNull == true)
      #expect(await api.send(.put, path, json: #"{"email":"off"}"#).status == 200)
      #expect(await api.get(path).json.pointer("/data/email")?.stringValue == "off")
      #expect(await api.get(path, as: .admin).json.pointer("/data/email")?.isNull == true)
      #expect(await api.send(.put, path, json: #"{"email":"loud"}"#).status == 400)
      #expect(await api.send(.put, path, json: #"{"email":null}"#).status == 200)
      #expect(await api.get(path).json.pointer("/data/email")?.isNull == true)
    }
  }
}
