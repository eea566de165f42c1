import Cryptography
import FoundationEssentials
import JSONText
import Postgres
import TestSupport
import Testing
import Vault

@testable import Publishing

/// Renewals with a real database and a platform that spends tokens: nothing is asked twice, and nothing is lost.
@Suite(.database) struct TokenRenewerTests {
  @Test func newTokensReplaceTheFormerOnes() async throws {
    try await PublishingFixture.runWithTokens { fixture in
      try await fixture.expire()
      let before = try await fixture.generation()
      let end = try await fixture.renew()
      #expect(end == .current)
      let (isInStep, generation) = (try await fixture.isInStep(), try await fixture.generation())
      #expect(isInStep)
      #expect(generation == before + 1)
      let row = try await fixture.pool.query(
        """
        SELECT extract(epoch FROM expires_at - token_issued_at)::int AS life, renew_at < expires_at AS ahead,
          renewed_at IS NOT NULL AS noted, renewal_until IS NULL AS free, credential_epoch, status
        FROM platform_connections WHERE id = \(fixture.connection)
        """
      )[0]
      #expect(try row.get("life", as: Int32.self) == 7_200)
      #expect(try row.get("ahead", as: Bool.self))
      #expect(try row.get("noted", as: Bool.self))
      #expect(try row.get("free", as: Bool.self))
      #expect(try row.get("credential_epoch", as: Int64.self) == 0)
      #expect(try row.get("status", as: String.self) == "active")
      let audit = try await fixture.count("SELECT count(*) FROM audit_logs WHERE action = 'connection.renew'")
      #expect(audit == 1)
      let files = try FileManager.default.contentsOfDirectory(atPath: fixture.folder + "/tokens")
      #expect(files.isEmpty)
    }
  }

  /// Another host may live on with the same credentials, so a restored one asks for none until a person has decided.
  @Test func nothingIsRenewedOnHold() async throws {
    try await PublishingFixture.runWithTokens { fixture in
      try await fixture.expire()
      try await fixture.pool.execute(
        "INSERT INTO holds (cause, reason, home, known_until) VALUES ('restored', 'a test', 'here', now())"
      )
      let held = try await fixture.renew()
      guard case .later = held else {
        Issue.record("It ended as \(held)")
        return
      }
      #expect(fixture.platform.tokens.refreshes == 0)
      let leased = try await fixture.count(
        "SELECT count(*) FROM platform_connections WHERE renewal_until IS NOT NULL OR renewal_state IS NOT NULL"
      )
      #expect(leased == 0)
      try await fixture.pool.execute("UPDATE holds SET ended_at = now(), ended_as = 'released', ended_by = 'a test'")
      let end = try await fixture.renew()
      #expect(end == .current)
      #expect(fixture.platform.tokens.refreshes == 1)
    }
  }

  @Test func manyWhoAskAtOnceMakeOneRequest() async throws {
    try await PublishingFixture.runWithTokens { fixture in
      let others = (0..<4).map { fixture.otherRenewer(folder: "tokens-\($0)") }
      for round in 1...5 {
        try await fixture.expire()
        let seen = try await fixture.generation()
        let connection = fixture.connection
        let ends = await withTaskGroup(of: RenewalEnd.self) { group in
          for renewer in others {
            for _ in 0..<10 { group.addTask { await renewer.renew(connection, seen: seen, cause: .needed) } }
          }
          return await group.reduce(into: [RenewalEnd]()) { $0.append($1) }
        }
        #expect(ends.allSatisfy { $0 == .current })
        #expect(fixture.platform.tokens.refreshes == round)
      }
      #expect(fixture.platform.tokens.replays == 0)
      let isInStep = try await fixture.isInStep()
      #expect(isInStep)
    }
  }

  @Test func anAnswerWithoutARefreshTokenKeepsTheFormerOne() async throws {
    try await PublishingFixture.runWithTokens(rotation: .none) { fixture in
      fixture.platform.change { $0.givesRefreshToken = false }
      try await fixture.expire()
      let end = try await fixture.renew()
      #expect(end == .current)
      let stored = try await fixture.stored()
      #expect(stored[CredentialGrant.refreshToken] == Secret("refresh-0"))
      #expect(stored["token"] == Secret("access-1"))
    }
  }

  @Test func anEmptyRefreshTokenOverwritesNothing() async throws {
    try await PublishingFixture.runWithTokens(rotation: .none) { fixture in
      let answer = #"{"access_token":"other","refresh_token":"","expires_in":60}"#
      fixture.platform.next("POST /token", .ok(answer))
      try await fixture.expire()
      let end = try await fixture.renew()
      #expect(end == .current)
      let stored = try await fixture.stored()
      #expect(stored[CredentialGrant.refreshToken] == Secret("refresh-0"))
      #expect(stored["token"] == Secret("other"))
    }
  }

  // MARK: Refusals

  @Test func aDeadTokenAsksForThePersonOnce() async throws {
    try await PublishingFixture.runWithTokens { fixture in
      fixture.platform.change { $0.revoke("by the person") }
      try await fixture.expire()
      for _ in 0..<3 {
        guard case .dead = try await fixture.renew() else {
          Issue.record("not dead")
          continue
        }
      }
      #expect(fixture.platform.tokens.refreshes == 1)
      let status = try await fixture.status()
      #expect(status == "expired")
      let events = try await fixture.count("SELECT count(*) FROM outbox WHERE kind = 'connection.expired'")
      #expect(events == 1)
    }
  }

  @Test func whatOthersRenewedMeanwhileIsNotDead() async throws {
    try await PublishingFixture.runWithTokens { fixture in
      try await fixture.expire()
      let seen = try await fixture.generation()
      // The lease is taken, then somebody connects the account again: the refusal of the old token says nothing of it.
      let store = RenewalStore(pool: fixture.pool, permit: .unbound)
      let lease = try #require(
        try await store.take(fixture.connection, generation: seen, owner: "test", for: .seconds(45))
      )
      try await fixture.grant(age: 0)
      let isDead = try await store.end(lease, reason: "refused")
      #expect(!isDead)
      let status = try await fixture.status()
      #expect(status == "active")
    }
  }

  @Test func theApplicationsFaultLeavesTheAccountAlone() async throws {
    try await PublishingFixture.runWithTokens { fixture in
      fixture.platform.next(
        "POST /token",
        ProbePlatform.Answer(status: 401, body: #"{"error":"invalid_client"}"#)
      )
      try await fixture.expire()
      guard case .later(_, .application, _) = try await fixture.renew() else {
        Issue.record("not told as the application's fault")
        return
      }
      let status = try await fixture.status()
      #expect(status == "active")
      let health = try await fixture.pool.transaction(scope: .site(fixture.site)) { tx in
        try await ConnectionStore().health(fixture.connection, in: tx)
      }
      #expect(health.failure?.fault == "application")
      #expect(health.failure?.message.contains("invalid_client") == true)
      #expect(!health.isValid)
    }
  }

  /// V8, with every rotation: what passes never ends an account.
  @Test(arguments: [ProbeTokens.Rotation.none, .strict])
  func transientErrorsNeverEndAnAccount(_ rotation: ProbeTokens.Rotation) async throws {
    try await PublishingFixture.runWithTokens(rotation: rotation) { fixture in
      let answers: [ProbePlatform.Answer] = [
        .refused(429, headers: ["retry-after": "1"]), .refused(408),
        ProbePlatform.Answer(status: 400, body: "<html>Bad request</html>"),
        ProbePlatform.Answer(status: 403, body: #"{"error":"temporarily_unavailable"}"#),
        ProbePlatform.Answer(status: 404, body: "not here"),
      ]
      for number in 0..<100 {
        fixture.platform.next("POST /token", answers[number % answers.count])
        try await fixture.expire()
        let end = try await fixture.renew()
        guard case .later(_, .passing, _) = end else {
          Issue.record("\(end) after \(number) failures")
          return
        }
        let status = try await fixture.status()
        #expect(status == "active")
      }
      try await fixture.expire()
      let end = try await fixture.renew()
      #expect(end == .current)
      let isInStep = try await fixture.isInStep()
      #expect(isInStep)
    }
  }

  @Test func aPlatformThatIsDownDoesNotEndAnAccount() async throws {
    try await PublishingFixture.runWithTokens { fixture in
      // Nothing that these requests asked for was done, but nobody can know that.
      for number in 0..<30 {
        fixture.platform.change { $0.rotation = .none }
        fixture.platform.next(
          "POST /token",
          number.isMultiple(of: 2) ? .unknown : ProbePlatform.Answer(status: 200, body: "<html>Maintenance</html>")
        )
        try await fixture.expire()
        guard case .later = try await fixture.renew() else {
          Issue.record("ended after \(number) failures")
          return
        }
      }
      let status = try await fixture.status()
      #expect(status == "active")
    }
  }

  // MARK: Lost answers

  @Test func aLostAnswerIsNotAskedForWhileTheTokenLives() async throws {
    try await PublishingFixture.runWithTokens { fixture in
      fixture.platform.next("POST /token", .unknown)
      // Its time has come, and it lives.
      try await fixture.grant(age: 6_000)
      _ = try await fixture.renew(.due)
      #expect(fixture.platform.tokens.refreshes == 1)
      try await fixture.pool.execute("UPDATE platform_connections SET renewal_retry_at = NULL")
      guard case .keep = try await fixture.renew(.due) else {
        Issue.record("asked again")
        return
      }
      guard case .keep = try await fixture.renew(.asked) else {
        Issue.record("asked again for a person")
        return
      }
      #expect(fixture.platform.tokens.refreshes == 1)
      // Then there is one more try, and no third one.
      try await fixture.expire()
      guard case .dead(RenewalRules.lost) = try await fixture.renew() else {
        Issue.record("not told as lost")
        return
      }
      for _ in 0..<3 { _ = try await fixture.renew() }
      #expect(fixture.platform.tokens.refreshes == 2)
      let status = try await fixture.status()
      #expect(status == "expired")
    }
  }

  @Test(arguments: [ProbeTokens.Rotation.none, .grace])
  func aLostAnswerCostsNothingWhereTheFormerTokenIsGood(_ rotation: ProbeTokens.Rotation) async throws {
    try await PublishingFixture.runWithTokens(rotation: rotation) { fixture in
      fixture.platform.next("POST /token", .unknown)
      try await fixture.grant(age: 6_000)
      _ = try await fixture.renew(.due)
      try await fixture.pool.execute("UPDATE platform_connections SET renewal_retry_at = NULL")
      let end = try await fixture.renew(.due)
      #expect(end == .current)
      let stored = try await fixture.stored()
      #expect(stored["token"] == Secret(fixture.platform.tokens.access))
    }
  }

  @Test func anAnswerWithoutTheNewRefreshTokenIsALostOne() async throws {
    try await PublishingFixture.runWithTokens(refresh: #""needsRefreshToken": true,"#) { fixture in
      fixture.platform.change { $0.givesRefreshToken = false }
      try await fixture.grant(age: 6_000)
      guard case .later = try await fixture.renew(.due) else {
        Issue.record("taken")
        return
      }
      let stored = try await fixture.stored()
      #expect(stored["token"] == Secret("access-0"))
    }
  }

  // MARK: The spool

  /// What the renewer does when the database goes away while the platform answers.
  @Test func anAnswerSurvivesAnAbsentDatabase() async throws {
    try await PublishingFixture.runWithTokens { fixture in
      for round in 1...3 {
        try await fixture.expire()
        let seen = try await fixture.generation()
        // From the answer on every write fails: the trigger stands for a database that is away.
        try await fixture.pool.batch([
          """
          CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN IF new.generation <> old.generation THEN RAISE 'away'; END IF; RETURN new; END $$
          """,
          "CREATE TRIGGER refuse BEFORE UPDATE ON platform_connections FOR EACH ROW EXECUTE FUNCTION refuse()",
        ])
        guard case .later = try await fixture.renew() else {
          Issue.record("taken for stored")
          return
        }
        let files = try FileManager.default.contentsOfDirectory(atPath: fixture.folder + "/tokens")
        #expect(files == ["\(fixture.connection).\(seen + 1)"])
        let text = try #require(FileManager.default.contents(atPath: fixture.folder + "/tokens/" + files[0]))
        #expect(!String(decoding: text, as: UTF8.self).contains("access-"))
        try await fixture.pool.execute("DROP FUNCTION refuse() CASCADE")
        // Another start of the host finds it.
        let other = fixture.otherRenewer()
        let replayed = try await other.replay()
        #expect(replayed == 1)
        let isInStep = try await fixture.isInStep()
        #expect(isInStep)
        let again = try await other.replay()
        #expect(again == 0)
        #expect(fixture.platform.tokens.refreshes == round)
      }
      let status = try await fixture.status()
      #expect(status == "active")
    }
  }

  @Test func aKeptAnswerIsStoredBeforeAnythingIsAskedAgain() async throws {
    try await PublishingFixture.runWithTokens { fixture in
      try await fixture.expire()
      try await fixture.pool.batch([
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF new.generation <> old.generation THEN RAISE 'away'; END IF; RETURN new; END $$
        """,
        "CREATE TRIGGER refuse BEFORE UPDATE ON platform_connections FOR EACH ROW EXECUTE FUNCTION refuse()",
      ])
      _ = try await fixture.renew()
      try await fixture.pool.execute("DROP FUNCTION refuse() CASCADE")
      // The lease of the process that failed has passed.
      try await fixture.pool.execute("UPDATE platform_connections SET renewal_until = now() - interval '1 s'")
      let other = fixture.otherRenewer()
      let end = await other.renew(fixture.connection, seen: try await fixture.generation(), cause: .needed)
      #expect(end == .current)
      #expect(fixture.platform.tokens.refreshes == 1)
      let isInStep = try await fixture.isInStep()
      #expect(isInStep)
    }
  }

  @Test func aKeptAnswerOfFormerCredentialsIsDropped() async throws {
    try await PublishingFixture.runWithTokens { fixture in
      let spool = TokenSpool(folder: fixture.folder + "/tokens")
      let sealer = try await fixture.vault.sealer(site: fixture.site)
      var token = RenewedToken(
        connection: fixture.connection,
        site: fixture.site,
        platform: "probe",
        generation: 1,
        sealed: [],
        keyID: 0,
        issuedAt: Date(),
        replacesAll: true
      )
      token = try token.sealed(ConnectionSecrets(["token": Secret("old")]).encoded(), by: sealer, as: .spoolRecord)
      try await spool.keep(token)
      let replayed = try await fixture.assembly.renewer.replay()
      #expect(replayed == 0)
      let stored = try await fixture.stored()
      #expect(stored["token"] == Secret("access-0"))
      let left = try await spool.tokens()
      #expect(left.isEmpty)
    }
  }

  // MARK: Fences

  @Test func aLateProcessChangesNothing() async throws {
    try await PublishingFixture.runWithTokens { fixture in
      try await fixture.expire()
      let seen = try await fixture.generation()
      let store = RenewalStore(pool: fixture.pool, permit: .unbound)
      let late = try #require(
        try await store.take(fixture.connection, generation: seen, owner: "late", for: .seconds(45))
      )
      let taken = try await store.take(fixture.connection, generation: seen, owner: "second", for: .seconds(45))
      #expect(taken == nil)
      try await fixture.pool.execute("UPDATE platform_connections SET renewal_until = now() - interval '1 s'")
      let next = try await store.take(fixture.connection, generation: seen, owner: "third", for: .seconds(45))
      #expect(next != nil)
      let mayLeave = try await store.journal(late, left: .seconds(1))
      #expect(mayLeave == nil)
      let isDead = try await store.end(late, reason: "refused")
      #expect(!isDead)
      try await store.fail(late, state: nil, unknown: 0, after: .zero, fault: .passing, error: "late")
      let errors = try await fixture.count(
        "SELECT count(*) FROM platform_connections WHERE renewal_error IS NOT NULL OR renewal_until IS NULL"
      )
      #expect(errors == 0)
    }
  }

  @Test func nothingLeavesWithALeaseThatIsNearlyOver() async throws {
    try await PublishingFixture.runWithTokens { fixture in
      let seen = try await fixture.generation()
      let store = RenewalStore(pool: fixture.pool, permit: .unbound)
      let lease = try #require(
        try await store.take(fixture.connection, generation: seen, owner: "slow", for: .seconds(20))
      )
      let mayLeave = try await store.journal(lease, left: .seconds(25))
      #expect(mayLeave == nil)
    }
  }

  // MARK: Rounds

  @Test func whatIsDueIsRenewedAndNothingElse() async throws {
    try await PublishingFixture.runWithTokens { fixture in
      try await fixture.grant(age: 100)
      try await fixture.assembly.renewer.round()
      #expect(fixture.platform.tokens.refreshes == 0)
      try await fixture.grant(age: 6_000)
      try await fixture.assembly.renewer.round()
      #expect(fixture.platform.tokens.refreshes == 1)
      try await fixture.assembly.renewer.round()
      #expect(fixture.platform.tokens.refreshes == 1)
    }
  }

  @Test func credentialsThatOthersMayKnowAreReplaced() async throws {
    try await PublishingFixture.runWithTokens { fixture in
      try await fixture.grant(age: 100)
      for statement in Revocations.renewal(site: fixture.site) { try await fixture.pool.execute(statement) }
      let before = try await fixture.status()
      #expect(before == "active")
      try await fixture.assembly.renewer.round()
      #expect(fixture.platform.tokens.refreshes == 1)
      let left = try await fixture.count(
        "SELECT count(*) FROM platform_connections WHERE must_renew_since IS NOT NULL OR status <> 'active'"
      )
      #expect(left == 0)
    }
  }

  @Test func aRefreshTokenThatOthersMayKnowAndThatStaysNeedsAPerson() async throws {
    try await PublishingFixture.runWithTokens(rotation: .none) { fixture in
      try await fixture.grant(age: 100)
      for statement in Revocations.renewal(site: fixture.site) { try await fixture.pool.execute(statement) }
      try await fixture.assembly.renewer.round()
      let status = try await fixture.status()
      #expect(status == "expired")
    }
  }
}
