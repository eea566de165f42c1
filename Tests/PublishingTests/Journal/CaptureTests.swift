import Cryptography
import Egress
import FoundationEssentials
import PluginManifest
import Postgres
import TestSupport
import Testing
import Vault

@testable import Publishing

/// What is captured is sealed with the outcome, survives restarts, and is nowhere in the clear.
@Suite(.database) struct CaptureTests {
  private static let token = "captured-token-4711"
  private static let address = "https://api.example.com/posts?sig=top-secret-signature"
  private static let rules = #"""
    [
      {"rule": "upload", "class": "prepare", "repeatable": true, "method": "POST", "origin": "https://api.example.com",
       "path": "/uploads", "calls": ["post/*"], "body": "json", "maxBody": 65536, "timeoutMs": 20000,
       "capture": [{"pointer": "/u", "as": "place", "kind": "url", "suffix": ["api.example.com"]},
                   {"pointer": "/t", "as": "ticket", "kind": "secret"}]},
      {"rule": "look", "class": "read", "method": "GET", "origin": "https://api.example.com", "path": "/me",
       "calls": ["post/*"], "maxBody": 65536, "timeoutMs": 20000,
       "capture": [{"pointer": "/t", "as": "seen", "kind": "secret"}]},
      {"rule": "post", "class": "commit", "method": "POST",
       "origin": {"capture": "place", "suffix": ["api.example.com"]}, "calls": ["post/publish"], "body": "json",
       "slots": {"header.authorization": {"capture": "ticket", "format": "Bearer {}"}},
       "remoteId": "/id", "maxBody": 65536, "timeoutMs": 20000}
    ]
    """#
  /// Looks, uploads, dies once, and publishes with the handles.
  private static let script = #"""
    get look see; http upload up '{}'; once up && die
    ask post post ',"captures":{"place":"capture:up/place","ticket":"capture:up/ticket"},"json":{"text":"a"}'
    IFS= read -r reply || exit 0; ok 1
    """#

  private func run(_ body: (PublishingFixture, Int64) async throws -> Void) async throws {
    try await PublishingFixture.run(Self.script, manifest: ProbeManifest.text(egress: Self.rules, absence: "never")) {
      fixture in
      fixture.platform.next("POST /uploads", .ok(#"{"u":"\#(Self.address)","t":"\#(Self.token)","id":1}"#))
      fixture.platform.next("GET /me", .ok(#"{"t":"\#(Self.token)-seen"}"#))
      let id = try await fixture.dispatch()
      try await fixture.drive()
      try await body(fixture, id)
    }
  }

  @Test func aReplayUsesWhatWasCaptured() async throws {
    try await run { fixture, id in
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(fixture.platform.published == [#"{"text":"a"}"#])
      #expect(fixture.platform.count("POST /uploads") == 1)
      let rows = try await fixture.pool.query("SELECT step, name, kind FROM delivery_captures ORDER BY step, name")
      let names = try rows.map { row in
        "\(try row.get("step", as: String.self))/\(try row.get("name", as: String.self))"
      }
      #expect(names == ["see/seen", "up/place", "up/ticket"])
    }
  }

  @Test func anotherProcessOpensItInItsOwnPlaceOnly() async throws {
    try await run { fixture, id in
      let handle = CaptureHandle(step: "up", name: "place")
      let (row, place) = try #require(try await fixture.store.capture(handle, of: id))
      func open(_ handle: CaptureHandle, _ place: CapturePlace, _ kind: String = row.kind) async throws -> String? {
        try await fixture.vault.open(stored: row.sealed, keyID: row.keyID, for: place.context(handle, kind: kind))
          .revealText()
      }
      #expect(try await open(handle, place) == Self.address)
      let others = [
        (CaptureHandle(step: "up", name: "ticket"), place, "url"), (handle, place, "secret"),
        (handle, CapturePlace(site: place.site, delivery: id + 1, run: place.run, attempt: place.attempt), "url"),
        (handle, CapturePlace(site: place.site, delivery: id, run: place.run + 1, attempt: place.attempt), "url"),
        (handle, CapturePlace(site: place.site, delivery: id, run: place.run, attempt: place.attempt + 1), "url"),
      ]
      for (other, elsewhere, kind) in others {
        await #expect(throws: VaultError.unreadable) { _ = try await open(other, elsewhere, kind) }
      }
    }
  }

  @Test func theyAndTheCredentialsGetANewKeyOfTheirSite() async throws {
    try await run { fixture, id in
      let rotations = KeyRotations(vault: fixture.vault, whenCompromised: Revocations.renewal)
      let resealer = Resealer(
        vault: fixture.vault,
        rotations: rotations,
        columns: SealedColumns.all,
        settling: .zero
      )
      let begun = try await rotations.rotate(site: fixture.site, KeyRotations.Request(isCompromised: true))
      while try await resealer.round() > 0 {}
      let rotation = try await rotations.rotation(begun.id)
      #expect((rotation.resealed, rotation.quarantined) == (4, 0))
      let handle = CaptureHandle(step: "up", name: "place")
      let (row, place) = try #require(try await fixture.store.capture(handle, of: id))
      #expect(row.keyID == rotation.newKey)
      let value = try await fixture.vault.open(
        stored: row.sealed,
        keyID: row.keyID,
        for: place.context(handle, kind: row.kind)
      )
      #expect(value == Secret(Self.address))
      let cache = AccountCache(pool: fixture.pool, vault: fixture.vault)
      #expect(try await cache.load(fixture.connection).secrets == ["token": Secret("tok-secret")])
      // The old key is known to others, so the account must be connected again.
      let asked = try await fixture.count(
        """
        SELECT count(*)::int FROM platform_connections c JOIN outbox o ON o.subject_id = c.id
        WHERE c.status = 'expired' AND c.must_renew_since IS NOT NULL AND o.kind = 'connection.expired'
        """
      )
      #expect(asked == 1)
    }
  }

  @Test func nothingOfItIsInTheClear() async throws {
    try await run { fixture, _ in
      let rows = try await fixture.pool.query(
        """
        SELECT e::text AS line FROM delivery_effects e UNION ALL SELECT c::text FROM delivery_captures c
        UNION ALL SELECT i::text FROM delivery_inputs i UNION ALL SELECT o::text FROM outbox o
        """
      )
      let lines = try rows.map { try $0.get("line", as: String.self) }
      let all = lines.joined(separator: "\n")
      #expect(all.contains("capture:up/place"))
      for secret in [Self.token, "top-secret-signature"] {
        #expect(!all.contains(secret))
        #expect(!all.contains(Hex.encode(Array(secret.utf8))))
      }
    }
  }

  @Test func aStepWhoseCaptureIsGoneIsDoneAgain() async throws {
    let script = #"""
      http upload up '{}'
      if once first; then fail internal retry; else
        ask post post ',"captures":{"place":"capture:up/place","ticket":"capture:up/ticket"},"json":{"text":"a"}'
        IFS= read -r reply || exit 0
        if failed; then fail prepareExpired retry ',"steps":["up"]'; else ok 1; fi
      fi
      """#
    try await PublishingFixture.run(script, manifest: ProbeManifest.text(egress: Self.rules, absence: "never")) {
      fixture in
      let answer = ProbePlatform.Answer.ok(#"{"u":"\#(Self.address)","t":"\#(Self.token)","id":1}"#)
      fixture.platform.next("POST /uploads", answer, answer)
      let id = try await fixture.dispatch()
      _ = try await fixture.step()
      try await fixture.pool.execute("DELETE FROM delivery_captures")
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(fixture.platform.count("POST /uploads") == 2)
      #expect(fixture.platform.published.count == 1)
    }
  }
}
