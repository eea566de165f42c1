import FoundationEssentials
import HTTPServer
import Identity
import JSONDocument
import PluginStore
import Postgres
import TestSupport
import Testing

@testable import AdminAPI

@Suite(.database) struct PluginRouteTests {
  private static func manifest(_ version: String, host: String) -> String {
    #"""
    {"schema": "rostrum-plugin/1", "id": "guest", "name": "Guest", "kind": "platform", "version": "\#(version)",
     "description": "A plugin of the tests.", "license": "Apache-2.0", "protocol": {"min": "1.0", "max": "1.0"},
     "executable": "guest.sh", "runtime": {"interpreter": "/bin/sh"},
     "methods": ["account/capabilities", "account/identify", "post/publish", "post/render", "post/validate"],
     "account": {"fields": []}, "egress": [
       {"rule": "me", "class": "read", "method": "GET", "origin": "https://\#(host)", "path": "/me",
        "calls": ["account/*"], "maxBody": 1000, "timeoutMs": 1000}],
     "reconcile": {"absence": "never", "settleMs": 0},
     "limits": {"inFlight": 64, "memoryMiB": 96, "startMs": 30000, "callMs": 60000}}
    """#
  }

  /// The bytes of a signed bundle.
  private static func bundle(
    _ key: PublisherKey,
    _ version: String = "1.0.0",
    host: String = "api.example.org"
  ) throws -> [UInt8] {
    let folder = FileManager.default.temporaryDirectory.path + "/guest-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try Data(manifest(version, host: host).utf8).write(to: URL(filePath: folder + "/manifest.json"))
    try Data("#!/bin/sh\n".utf8).write(to: URL(filePath: folder + "/guest.sh"))
    try BundleSource(folder).pack(to: folder + "/guest.rostrum-plugin", key: key)
    let bytes = try Data(contentsOf: URL(filePath: folder + "/guest.rostrum-plugin"))
    try FileManager.default.removeItem(atPath: folder)
    return Array(bytes)
  }

  private static func send(
    _ fixture: APIFixture,
    _ method: HTTPMethod,
    _ target: String,
    json: String? = nil,
    bytes: [UInt8]? = nil
  ) async -> TestClient.Answer {
    let headers: HTTPHeaders = [
      "authorization": "Bearer \(fixture.operatorToken)",
      "content-type": json == nil ? "application/octet-stream" : "application/json",
    ]
    return await fixture.client.send(method, target, headers: headers, body: bytes ?? Array((json ?? "").utf8))
  }

  @Test func onlyOperatorsMayLookAndChange() async throws {
    try await APIFixture.run { fixture in
      for endpoint in PluginBundleRoutes.endpoints {
        let target = endpoint.path.replacing("{plugin}", with: "guest")
        let answer = await fixture.send(endpoint.method, target, as: .owner, json: endpoint.body == nil ? nil : "{}")
        #expect(answer.status == 403, "\(endpoint.method) \(endpoint.path): \(answer.status)")
      }
    }
  }

  @Test func anUploadWaitsForItsApproval() async throws {
    try await APIFixture.run { fixture in
      let key = try PublisherKey.make()
      let upload = await Self.send(fixture, .post, "/api/plugins", bytes: try Self.bundle(key))
      #expect(upload.status == 200)
      #expect(upload.json.pointer("/data/outcome") == "waiting")
      let asks = upload.json.pointer("/data/asks")?.arrayValue?.compactMap(\.stringValue) ?? []
      #expect(asks.contains { $0.contains("https://api.example.org/me") })
      let digest = try #require(upload.json.pointer("/data/plugin/digest")?.stringValue)

      let missing = await Self.send(fixture, .post, "/api/plugins/guest/rollback", json: "{}")
      #expect(missing.status == 404)
      let wrong = await Self.send(
        fixture,
        .post,
        "/api/plugins/guest/approve",
        json: #"{"digest":"sha256:\#(String(repeating: "0", count: 64))"}"#
      )
      #expect(wrong.status == 409)
      let approved = await Self.send(fixture, .post, "/api/plugins/guest/approve", json: #"{"digest":"\#(digest)"}"#)
      #expect(approved.json.pointer("/data/outcome") == "installed")

      let detail = await Self.send(fixture, .get, "/api/plugins/guest")
      #expect(detail.json.pointer("/data/current/publisher")?.stringValue == key.id)
      #expect(detail.json.pointer("/data/waiting") == .null)
      let egress = await Self.send(fixture, .get, "/api/plugins/-/egress")
      #expect(egress.json.pointer("/data/hosts") == ["api.example.org:443"])
      let lock = await Self.send(fixture, .get, "/api/plugins/-/lock")
      #expect(lock.json.pointer("/data/plugins/guest/manifest")?.stringValue == digest)
      let audit = try await fixture.pool.query(
        "SELECT action FROM audit_logs WHERE subject = 'plugin:guest' ORDER BY id"
      )
      #expect(try audit.map { try $0.get(0, as: String.self) } == ["plugin.offer", "plugin.install"])
    }
  }

  @Test func versionsGoForwardAndBack() async throws {
    try await APIFixture.run { fixture in
      let key = try PublisherKey.make()
      _ = await Self.send(fixture, .post, "/api/plugins?approve=true", bytes: try Self.bundle(key))
      let newer = await Self.send(fixture, .post, "/api/plugins", bytes: try Self.bundle(key, "1.1.0"))
      #expect(newer.json.pointer("/data/outcome") == "installed")
      #expect(newer.json.pointer("/data/previous") == "1.0.0")
      let wider = await Self.send(
        fixture,
        .post,
        "/api/plugins",
        bytes: try Self.bundle(key, "1.2.0", host: "b.example")
      )
      #expect(wider.json.pointer("/data/outcome") == "waiting")
      let refused = await Self.send(fixture, .post, "/api/plugins/guest/refuse", json: "{}")
      #expect(refused.status == 200)
      let back = await Self.send(fixture, .post, "/api/plugins/guest/rollback", json: #"{"reason":"a test"}"#)
      #expect(back.json.pointer("/data/plugin/version") == "1.0.0")
      let older = await Self.send(fixture, .post, "/api/plugins", bytes: try Self.bundle(key, "0.9.0"))
      #expect(older.status == 409)
      let events = await Self.send(fixture, .get, "/api/plugins/guest/events?limit=2")
      #expect(events.json.pointer("/data/0/kind") == "rolledBack")
      #expect(events.json.pointer("/data/1/kind") == "refused")
      #expect(events.json.pointer("/nextCursor")?.int64Value != nil)
      let removed = await Self.send(fixture, .delete, "/api/plugins/guest")
      #expect(removed.status == 200)
      let gone = await Self.send(fixture, .delete, "/api/plugins/guest")
      #expect(gone.status == 404)
      #expect(gone.code == "plugin_not_found")
    }
  }

  @Test func aBadBundleIsRefusedWithItsReason() async throws {
    try await APIFixture.run { fixture in
      var bytes = try Self.bundle(try PublisherKey.make())
      bytes[700] ^= 1
      let changed = await Self.send(fixture, .post, "/api/plugins?approve=true", bytes: bytes)
      #expect(changed.status == 422)
      #expect(changed.code == "bundle_signature")
      let empty = await Self.send(fixture, .post, "/api/plugins", bytes: [])
      #expect(empty.code == "bundle_malformed")
      let nowhere = await Self.send(
        fixture,
        .post,
        "/api/plugins/-/download",
        json: #"{"url":"https://plugins.example.org/a"}"#
      )
      #expect(nowhere.code == "bundle_download")
    }
  }
}
