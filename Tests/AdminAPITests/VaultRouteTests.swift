import HTTPServer
import JSONDocument
import Postgres
import TestSupport
import Testing

@testable import AdminAPI

/// Keys and emergencies over the API.
@Suite(.database) struct VaultRouteTests {
  private func send(
    _ api: APIFixture,
    _ method: HTTPMethod,
    _ target: String,
    _ body: String = ""
  ) async -> TestClient.Answer {
    var headers: HTTPHeaders = ["authorization": "Bearer \(api.operatorToken)"]
    if !body.isEmpty { headers.set("content-type", "application/json") }
    return await api.client.send(method, target, headers: headers, body: Array(body.utf8))
  }

  @Test func operatorsSeeAndChangeKeys() async throws {
    try await APIFixture.run { api in
      let before = await send(api, .get, "/api/admin/vault")
      #expect(before.json.pointer("/data/hostKeys/0/status") == "primary")
      #expect(before.json.pointer("/data/dataKeys/primary") == 1)
      #expect(await api.get("/api/admin/vault").status == 403)

      let path = "/api/admin/vault/rotations"
      let rotation = await send(api, .post, path, #"{"siteId":\#(api.site),"compromised":true}"#)
      #expect(rotation.status == 202)
      #expect(rotation.json.pointer("/data/siteId")?.int64Value == api.site)
      #expect(rotation.json.pointer("/data/isCompromised") == true)
      #expect(rotation.json.pointer("/data/endedAt") == .null)
      #expect(await send(api, .post, path, #"{"siteId":\#(api.site)}"#).code == "rotation_running")
      #expect(await send(api, .post, path, #"{"siteId":\#(api.otherSite)}"#).status == 404)
      #expect(await send(api, .post, path, "{}").code == "no_such_key")
      #expect(await send(api, .post, path, #"{"siteId":1,"hostKey":2}"#).field == "hostKey")
      #expect(await api.send(.post, path, json: "{}").status == 403)

      #expect(await send(api, .post, "/api/admin/vault/keys/1/destroy").code == "key_in_use")
      #expect(await send(api, .post, "/api/admin/vault/keys/none/destroy").status == 404)
      let trail = try await api.pool.query("SELECT subject FROM audit_logs WHERE action LIKE 'vault.%'")
      #expect(try trail.map { try $0.get(0, as: String.self) } == ["site:\(api.site)"])
    }
  }

  @Test func operatorsRevoke() async throws {
    try await APIFixture.run { api in
      let path = "/api/admin/vault/revocations"
      let revocation = await send(
        api,
        .post,
        path,
        #"{"scope":"connection","connectionId":\#(api.connection),"reason":"Leaked"}"#
      )
      #expect(revocation.status == 202)
      #expect(revocation.json.pointer("/data/scope") == "connection")
      let test = await api.send(.post, "/api/admin/distribution/connections/\(api.connection)/test")
      #expect(test.code == "credentials_revoked")
      let status = await send(api, .get, "/api/admin/vault")
      #expect(status.json.pointer("/data/revocations/0/reason") == "Leaked")

      #expect(await send(api, .post, path, #"{"scope":"site","reason":"a"}"#).field == "siteId")
      #expect(await send(api, .post, path, #"{"scope":"all","siteId":1,"reason":"a"}"#).field == "siteId")
      #expect(await send(api, .post, path, #"{"scope":"world","reason":"a"}"#).field == "scope")
      #expect(await send(api, .post, path, #"{"scope":"all"}"#).field == "reason")
      let gone = await send(api, .post, path, #"{"scope":"connection","connectionId":999,"reason":"a"}"#)
      #expect(gone.status == 404)
      #expect(await api.send(.post, path, json: #"{"scope":"all","reason":"a"}"#).status == 403)
    }
  }
}
