import Egress
import FoundationEssentials
import JSONText
import Logging
import PluginHost
import PluginManifest
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// The journal when things go wrong around it.
@Suite(.database) struct DeliveryJournalTests {
  private static let publish = #"http post post '{"text":"a"}'; ok 1"#

  private func journal(_ fixture: PublishingFixture, _ job: ClaimedJob, effects: BatchWriter) -> DeliveryJournal {
    let tools = fixture.assembly.handler.tools
    return DeliveryJournal(
      owner: DeliveryJournal.Owner(lease: job.lease, site: job.siteID, run: 1, attempt: job.attempt),
      records: [],
      inputs: nil,
      tools: DeliveryTools(
        plugins: tools.plugins,
        egress: tools.egress,
        effects: effects,
        store: tools.store,
        spool: tools.spool,
        accounts: tools.accounts,
        renewer: tools.renewer,
        files: tools.files,
        limits: tools.limits,
        lanes: tools.lanes,
        breakers: tools.breakers,
        hints: tools.hints,
        logger: tools.logger,
        permit: tools.permit,
        sendDeadline: tools.sendDeadline
      )
    )
  }

  private func intent(_ fixture: PublishingFixture, digest: String = "d1:a") throws -> EffectIntent {
    let manifest = try #require(fixture.plugins.manifest(for: "probe"))
    return EffectIntent(
      step: "post",
      rule: try #require(manifest.rule("post")),
      effectClass: .commit,
      digest: digest
    )
  }

  /// The server ends the writer's session the moment it has committed, so that the answer never comes.
  private func cutAfterCommit(_ pool: Pool, when condition: String) async throws {
    try await pool.withSession { session in
      try await session.execute(
        script: """
          CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN
            IF \(condition) THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
            RETURN NULL;
          END $$;
          CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON delivery_effects DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION cut();
          """
      )
    }
  }

  @Test func aLostCommitThatDidNotHappenIsWrittenAgain() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      // A sequence is not rolled back: only the first transaction is cut.
      try await fixture.pool.execute("CREATE SEQUENCE cuts")
      try await cutAfterCommit(fixture.pool, when: "nextval('cuts') = 1")
      let id = try await fixture.dispatch()
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(try await fixture.count("SELECT last_value::int FROM cuts") == 2)
      #expect(fixture.platform.published.count == 1)
      #expect(try await fixture.store.records(of: id).map(\.key.attempt) == [1])
    }
  }

  @Test func aDatabaseThatCutsEveryCommitCostsNoAttemptAndSendsNothing() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      try await cutAfterCommit(fixture.pool, when: "true")
      let id = try await fixture.dispatch()
      #expect(try await fixture.step() == .unknown(.seconds(1)))
      #expect(fixture.platform.received.isEmpty)
      try await fixture.pool.execute("DROP TRIGGER cut ON delivery_effects")
      try await fixture.drive()
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .sent)
      #expect(delivery.attempts == 1)
      #expect(fixture.platform.published.count == 1)
    }
  }

  /// The row is there although the answer was lost: it is found by its nonce and not written twice.
  @Test func aLostAnswerToACommitThatHappenedIsLookedUp() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let id = try await fixture.dispatch()
      let job = try #require(try await fixture.claim())
      let nonce = UUID()
      let record = EffectRecord(
        key: EffectKey(run: 1, step: "post", attempt: 1),
        rule: "post",
        effectClass: .commit,
        digest: "d1:a",
        startedAt: Date()
      )
      let operation = StartEffect(lease: job.lease, site: job.siteID, record: record, nonce: nonce)
      #expect(try await fixture.effects.submit(operation))
      // Written again, as after a lost answer, it is refused; the row itself tells that it may be sent.
      #expect(try await !fixture.effects.submit(operation))
      #expect(try await fixture.store.isStarted(nonce: nonce, delivery: id, fence: job.lease.fence))
    }
  }

  @Test func anOutcomeWithoutADatabaseIsSpooledAndSettlesLater() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      let id = try await fixture.dispatch()
      let job = try #require(try await fixture.claim())
      let effects = BatchWriter(fixture.pool.configuration, logger: Logger(sink: MemorySink()))
      let journal = journal(fixture, job, effects: effects)
      guard case .send(let ticket) = try await journal.begin(intent(fixture)) else {
        Issue.record("refused")
        return
      }
      await effects.close()
      let answer = try RawJSON(text: #"{"status":201}"#)
      await journal.finish(ticket, EffectOutcome(outcome: .accepted, status: 201, answer: answer, remoteID: "9"))
      #expect(journal.current.hasAcceptedCommit)
      #expect(try await fixture.store.records(of: id).map(\.outcome) == [nil])
      // Another node has given the delivery up in the meantime.
      _ = try await fixture.effects.submit(EndDelivery(lease: job.lease, end: DeliveryEnd(.unconfirmed), attempts: 1))
      #expect(try await fixture.assembly.drainSpool() == 1)
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .sent)
      #expect(delivery.remoteID == "9")
      #expect(try await fixture.assembly.drainSpool() == 0)
    }
  }

  @Test func anOutcomeIsFinishedOnce() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      _ = try await fixture.dispatch()
      let job = try #require(try await fixture.claim())
      let journal = journal(fixture, job, effects: fixture.effects)
      guard case .send(let ticket) = try await journal.begin(intent(fixture)) else {
        Issue.record("refused")
        return
      }
      guard case .refuse = try await journal.begin(intent(fixture)) else {
        Issue.record("the same step twice")
        return
      }
      await journal.finish(ticket, EffectOutcome(outcome: .rejected, status: 400, answer: .emptyObject))
      await journal.finish(ticket, EffectOutcome(outcome: .accepted, status: 200, answer: .emptyObject))
      #expect(journal.current.records.map(\.outcome) == [.rejected])
    }
  }

  @Test func anIdWithANulNeverBlocksTheSpool() async throws {
    try await PublishingFixture.run(Self.publish) { fixture in
      fixture.platform.next("POST /posts", .ok(#"{"id":"a\u0000b"}"#))
      let id = try await fixture.dispatch()
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(try await fixture.store.records(of: id).map(\.outcome) == [.accepted])
      #expect(FileManager.default.contents(atPath: fixture.spoolPath) == nil)
    }
  }

  @Test func nothingLeavesAfterTheSendDeadline() async throws {
    let past = ContinuousClock.now - .seconds(1)
    try await PublishingFixture.run(Self.publish, sendDeadline: { past }) { fixture in
      let id = try await fixture.dispatch()
      _ = try await fixture.step()
      #expect(fixture.platform.received.isEmpty)
      #expect(try await fixture.store.records(of: id).map(\.outcome) == [.notSent])
      #expect(try await !fixture.delivery(id).state.isEnd)
    }
  }
}
