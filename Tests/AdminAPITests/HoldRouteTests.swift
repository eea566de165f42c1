import HTTPServer
import JSONDocument
import Postgres
import Publishing
import TestSupport
import Testing

@testable import AdminAPI

/// The hold of the installation, over the API.
@Suite(.database) struct HoldRouteTests {
  private func send(_ fixture: APIFixture, _ method: HTTPMethod, _ target: String) async -> TestClient.Answer {
    let headers: HTTPHeaders = ["authorization": "Bearer \(fixture.operatorToken)"]
    return await fixture.client.send(method, target, headers: headers, body: [])
  }

  @Test func everybodySeesAHoldAndOperatorsEndIt() async throws {
    try await APIFixture.run { fixture in
      let free = await send(fixture, .get, "/api/admin/hold")
      #expect(free.json.pointer("/data/isHeld") == false)
      #expect(await send(fixture, .post, "/api/admin/hold/adopt").status == 409)

      try await HoldStore(pool: fixture.pool).begin(.behind, reason: "Said by the test", home: "h", knownUntil: nil)
      let health = await fixture.get("/health", as: nil)
      #expect(health.status == 200)
      #expect(health.json.pointer("/data/status") == "onHold")
      #expect(health.json.pointer("/data/hold/cause") == "behind")
      #expect(await fixture.send(.post, "/api/admin/hold/release").status == 403)

      let ended = await send(fixture, .post, "/api/admin/hold/release")
      #expect(ended.json.pointer("/data/isHeld") == false)
      #expect(await fixture.get("/health", as: nil).json.pointer("/data/status") == "healthy")
      let audit = try await fixture.pool.query(
        "SELECT user_id IS NOT NULL FROM audit_logs WHERE action = 'hold.released'"
      )
      #expect(try audit.map { try $0.get(0, as: Bool.self) } == [true])
    }
  }
}
