import Cryptography
import FoundationEssentials
import OAuth
import Postgres
import TestSupport
import Testing
import Vault

@testable import PluginManifest
@testable import Publishing

/// Credentials are ended at their platform, and nothing waits for that.
@Suite(.database) struct PlatformRevocationTests {
  private func row(_ fixture: PublishingFixture) async throws -> (outcome: String, sealed: Int32, attempts: Int32) {
    let row = try await fixture.pool.query(
      "SELECT outcome, octet_length(sealed) AS sealed, attempts FROM token_revocations"
    )[0]
    return (try row.get("outcome"), try row.get("sealed"), try row.get("attempts"))
  }

  private func sealedInTheRow(_ fixture: PublishingFixture) async throws -> Int32 {
    try await fixture.pool.query(
      "SELECT octet_length(sealed_credentials) FROM platform_connections WHERE id = \(fixture.connection)"
    )[0].get(0)
  }

  @Test func disconnectingEndsBothTokens() async throws {
    try await PublishingFixture.runWithTokens { fixture in
      let outcome = try await fixture.disconnect()
      #expect(outcome == .revoked)
      #expect(fixture.platform.tokens.revoked == ["token=refresh-0", "token=access-0"])
      let row = try await row(fixture)
      #expect(row.outcome == "revoked")
      #expect(row.sealed == 0)
      let left = try await sealedInTheRow(fixture)
      #expect(left == 0)
      let audit = try await fixture.count(
        "SELECT count(*) FROM audit_logs WHERE action = 'connection.revokeAtPlatform' AND details->>'outcome' = 'revoked'"
      )
      #expect(audit == 1)
    }
  }

  @Test func aPlatformThatIsDownIsAskedAgain() async throws {
    try await PublishingFixture.runWithTokens { fixture in
      // The first token ends, the second one does not yet.
      fixture.platform.next("POST /revoke", .ok("{}"), .unknown)
      let outcome = try await fixture.disconnect()
      #expect(outcome == .pending)
      let kept = try await row(fixture)
      #expect(kept.sealed > 0)
      // The credentials are out of use at once.
      let left = try await sealedInTheRow(fixture)
      #expect(left == 0)
      try await fixture.assembly.revocations.round()
      #expect(fixture.platform.count("POST /revoke") == 2)
      try await fixture.pool.execute("UPDATE token_revocations SET next_at = now()")
      try await fixture.assembly.revocations.round()
      let end = try await row(fixture)
      #expect(end.outcome == "revoked")
      #expect(end.sealed == 0)
      // The one that was ended is not asked for again.
      #expect(fixture.platform.tokens.revoked == ["token=access-0"])
    }
  }

  @Test func whatNeverWorksIsGivenUpAfterADay() async throws {
    try await PublishingFixture.runWithTokens { fixture in
      fixture.platform.next("POST /revoke", .unknown, .unknown)
      try await fixture.disconnect()
      try await fixture.pool.execute(
        "UPDATE token_revocations SET next_at = now(), created_at = now() - interval '25 hours'"
      )
      try await fixture.assembly.revocations.round()
      let end = try await row(fixture)
      #expect(end.outcome == "failed")
      #expect(end.sealed == 0)
    }
  }

  @Test func enteredCredentialsAndPlatformsWithoutAWayAreUnsupported() async throws {
    try await PublishingFixture.run { fixture in
      let outcome = try await fixture.disconnect()
      #expect(outcome == .unsupported)
      let rows = try await fixture.count("SELECT count(*) FROM token_revocations")
      #expect(rows == 0)
    }
  }

  @Test func aPlatformWithoutAWayIsUnsupported() async throws {
    try await PublishingFixture.runWithTokens(revoke: false) { fixture in
      let outcome = try await fixture.disconnect()
      #expect(outcome == .unsupported)
      let end = try await row(fixture)
      #expect(end.sealed == 0)
    }
  }

  @Test func anEmergencyMarksFirstAndAsksThePlatformThen() async throws {
    try await PublishingFixture.runWithTokens { fixture in
      let revocations = Revocations(pool: fixture.pool)
      let begun = try await revocations.begin(.all, reason: "Stolen")
      // Nothing of this waits for the platform.
      let open = try await revocations.round()
      #expect(open == 0)
      let waiting = try await revocations.revocation(begun.id)
      #expect(waiting.asked == 1)
      #expect(waiting.endedAt == nil)
      #expect(fixture.platform.count("POST /revoke") == 0)
      let status = try await fixture.status()
      #expect(status == "revoked")
      let left = try await sealedInTheRow(fixture)
      #expect(left == 0)
      try await fixture.assembly.revocations.round()
      #expect(fixture.platform.tokens.revoked.count == 2)
      let after = try await revocations.round()
      #expect(after == 0)
      let end = try await revocations.revocation(begun.id)
      #expect(end.revoked == 1)
      #expect(end.endedAt != nil)
    }
  }

  /// A renewal that is on its way while the account is disconnected leaves no living token behind.
  @Test func tokensThatComeTooLateAreEndedToo() async throws {
    try await PublishingFixture.runWithTokens { fixture in
      try await fixture.expire()
      let seen = try await fixture.generation()
      let spool = TokenSpool(folder: fixture.folder + "/tokens")
      let sealer = try await fixture.vault.sealer(site: fixture.site)
      let secrets = try await fixture.stored()
      let token = RenewedToken(
        connection: fixture.connection,
        site: fixture.site,
        platform: "probe",
        generation: seen + 1,
        sealed: [],
        keyID: 0,
        issuedAt: Date(),
        replacesAll: true
      )
      let plain = try ConnectionSecrets(secrets).encoded()
      try await spool.keep(token.sealed(plain, by: sealer, as: .spoolRecord))
      try await fixture.disconnect()
      let before = fixture.platform.tokens.revoked.count
      try await fixture.assembly.renewer.replay()
      try await fixture.assembly.revocations.round()
      #expect(fixture.platform.tokens.revoked.count == before + 2)
    }
  }

  // MARK: Answers

  private func answer(_ status: Int, _ body: String, isWithToken: Bool = false) -> RevocationAnswer {
    RevocationAnswer(
      status: status,
      body: Array(body.utf8),
      isWithToken: isWithToken,
      shape: OAuthAnswerShape(),
      dead: [OAuthAnswerTest(statuses: [400], pointer: "/error_description", values: ["gone"])]
    )
  }

  @Test func answersAreReadAsWhatTheyMean() {
    #expect(answer(200, "") == .ended)
    #expect(answer(200, #"{"revoked":true}"#) == .ended)
    #expect(answer(400, #"{"error":"invalid_grant"}"#) == .ended)
    #expect(answer(400, #"{"error":"invalid_request","error_description":"gone"}"#) == .ended)
    #expect(answer(401, #"{"error":"expired"}"#, isWithToken: true) == .ended)
    #expect(answer(401, #"{"error":"invalid_client"}"#) == .refused("The platform answered 401 (invalid_client)"))
    #expect(answer(403, "no") == .refused("The platform answered 403"))
    #expect(answer(429, "{}") == .later("The platform answered 429"))
    #expect(answer(503, "<html>") == .later("The platform answered 503"))
  }
}
