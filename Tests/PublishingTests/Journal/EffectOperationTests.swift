import Egress
import FoundationEssentials
import JSONText
import PluginManifest
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// The statements of the journal against a real database.
@Suite(.database) struct EffectOperationTests {
  private func record(
    _ step: String = "post",
    attempt: Int = 1,
    _ effectClass: EffectClass = .commit,
    outcome: OutcomeClass? = nil,
    remoteID: String? = nil
  ) -> EffectRecord {
    EffectRecord(
      key: EffectKey(run: 1, step: step, attempt: attempt),
      rule: "post",
      effectClass: effectClass,
      digest: "d1:a",
      outcome: outcome,
      status: outcome == nil ? nil : 200,
      answer: outcome == nil ? nil : "{}",
      remoteID: remoteID,
      startedAt: Date()
    )
  }

  private func start(
    _ job: ClaimedJob,
    _ record: EffectRecord,
    nonce: UUID = UUID(),
    inputs: RunInputs? = nil,
    reads: String? = nil
  ) -> StartEffect {
    StartEffect(lease: job.lease, site: job.siteID, record: record, nonce: nonce, inputs: inputs, reads: reads)
  }

  private func claimed(_ fixture: PublishingFixture) async throws -> ClaimedJob {
    _ = try await fixture.dispatch()
    return try #require(try await fixture.claim())
  }

  private func phase(_ fixture: PublishingFixture, _ job: ClaimedJob) async throws -> Int {
    try await fixture.count("SELECT phase::int FROM leases WHERE job_id = \(job.id)")
  }

  // MARK: Started

  @Test func aHeldLeaseMayStart() async throws {
    try await PublishingFixture.run { fixture in
      let job = try await claimed(fixture)
      #expect(try await fixture.effects.submit(start(job, record("u", .prepare))))
      #expect(try await phase(fixture, job) == 1)
      #expect(try await fixture.effects.submit(start(job, record())))
      #expect(try await phase(fixture, job) == 2)
    }
  }

  @Test func aForeignFenceOrNodeMayNot() async throws {
    try await PublishingFixture.run { fixture in
      let job = try await claimed(fixture)
      let lease = job.lease
      for wrong in [
        Lease(jobID: lease.jobID, fence: lease.fence + 1, nodeEpoch: lease.nodeEpoch),
        Lease(jobID: lease.jobID, fence: lease.fence, nodeEpoch: UUID()),
        Lease(jobID: lease.jobID + 1, fence: lease.fence, nodeEpoch: lease.nodeEpoch),
      ] {
        let operation = StartEffect(lease: wrong, site: fixture.site, record: record(), nonce: UUID())
        #expect(try await !fixture.effects.submit(operation))
      }
      #expect(try await fixture.count("SELECT count(*) FROM delivery_effects") == 0)
      #expect(try await fixture.store.refusal(of: lease.jobID, fence: lease.fence + 1) == .leaseLost)
    }
  }

  @Test(arguments: ["stop", "paused", "canceled"]) func pauseAndCancelWinBeforeTheFirstCommit(what: String) async throws
  {
    try await PublishingFixture.run { fixture in
      let job = try await claimed(fixture)
      switch what {
      case "stop": try await fixture.pool.execute("UPDATE leases SET stop = true")
      case "paused": try await fixture.pool.execute("UPDATE job_groups SET paused_at = now()")
      default: try await fixture.pool.execute("UPDATE job_groups SET canceled_at = now()")
      }
      #expect(try await !fixture.effects.submit(start(job, record())))
      #expect(
        try await fixture.store.refusal(of: job.id, fence: job.lease.fence) == (what == "paused" ? .paused : .canceled)
      )
      // Half a thread is worse than a whole one.
      try await fixture.store.markLive(job.id)
      #expect(try await fixture.effects.submit(start(job, record())))
    }
  }

  @Test func manyInOneFlushAreDecidedOneByOne() async throws {
    try await PublishingFixture.run { fixture in
      let good = try await claimed(fixture)
      let bad = Lease(jobID: good.id, fence: good.lease.fence + 7, nodeEpoch: good.lease.nodeEpoch)
      let operations = [
        start(good, record("a")), StartEffect(lease: bad, site: 1, record: record("b"), nonce: UUID()),
        start(good, record("c", .prepare)), start(good, record("a")),
      ]
      let rows = try await fixture.pool.query(StartEffect.statement(for: operations))
      #expect(try StartEffect.outputs(of: rows, for: operations) == [true, false, true, false])
    }
  }

  @Test func inputsAreWrittenOnce() async throws {
    try await PublishingFixture.run { fixture in
      let job = try await claimed(fixture)
      let date = Date(timeIntervalSince1970: 1_700_000_000.125)
      let first = RunInputs(variant: #"{"text":"a"}"#, startedAt: date, seed: [1, 2], pluginVersion: "1.0.0")
      var second = first
      second.variant = #"{"text":"b"}"#
      // Two requests at once carry the same inputs.
      let operations = [
        start(job, record("a", .prepare), inputs: first), start(job, record("b", .prepare), inputs: first),
      ]
      let rows = try await fixture.pool.query(StartEffect.statement(for: operations))
      #expect(try StartEffect.outputs(of: rows, for: operations) == [true, true])
      _ = try await fixture.effects.submit(start(job, record("c", .prepare), inputs: second))
      let stored = try await fixture.store.inputs(of: job.id, run: 1)
      #expect(stored?.startedAt == date)
      #expect(stored?.seed == [1, 2])
      #expect(stored?.variant.contains("a") == true)
      #expect(try await fixture.store.inputs(of: job.id, run: 2) == nil)
    }
  }

  @Test func readsAreKeptAndReplaced() async throws {
    try await PublishingFixture.run { fixture in
      let job = try await claimed(fixture)
      func reads(_ answer: String, step: String = "me") -> String {
        RawJSON.array([0]) { writer, _ in
          writer.object { writer in
            writer.field("step", step)
            writer.field("rule", "me")
            writer.field("digest", "d1:r")
            writer.field("status", 200)
            writer.field("answer", answer)
          }
        }.text
      }
      // The same reads twice in one flush, and a read with the name of a commit.
      let operations = [
        start(job, record("a", .prepare), reads: reads("one")), start(job, record("b", .prepare), reads: reads("one")),
      ]
      let rows = try await fixture.pool.query(StartEffect.statement(for: operations))
      #expect(try StartEffect.outputs(of: rows, for: operations) == [true, true])
      #expect(try await fixture.effects.submit(start(job, record("c", .prepare), reads: reads("two"))))
      #expect(try await fixture.effects.submit(start(job, record("me"), reads: reads("three"))))
      let records = try await fixture.store.records(of: job.id)
      let kept = records.filter { $0.effectClass == .read }
      #expect(kept.map(\.answer) == ["three"])
      #expect(kept.map(\.key.attempt) == [0])
      #expect(records.filter { $0.effectClass == .commit }.map(\.key.step) == ["me"])
    }
  }

  @Test func theRowTellsAfterALostAnswer() async throws {
    try await PublishingFixture.run { fixture in
      let job = try await claimed(fixture)
      let nonce = UUID()
      #expect(try await !fixture.store.isStarted(nonce: nonce, delivery: job.id, fence: job.lease.fence))
      _ = try await fixture.effects.submit(start(job, record(), nonce: nonce))
      #expect(try await fixture.store.isStarted(nonce: nonce, delivery: job.id, fence: job.lease.fence))
      // A row that is durable counts only while the lease is ours.
      #expect(try await !fixture.store.isStarted(nonce: nonce, delivery: job.id, fence: job.lease.fence + 1))
      #expect(try await !fixture.store.isStarted(nonce: UUID(), delivery: job.id, fence: job.lease.fence))
    }
  }

  // MARK: Outcomes

  @Test func theFirstOutcomeWinsWhoeverBringsIt() async throws {
    try await PublishingFixture.run { fixture in
      let job = try await claimed(fixture)
      let nonce = UUID()
      _ = try await fixture.effects.submit(start(job, record(), nonce: nonce))
      // The lease is lost; evidence knows no fence.
      try await fixture.pool.execute("UPDATE leases SET fence = fence + 100")
      let accepted = FinishEffect(delivery: job.id, record: record(outcome: .accepted, remoteID: "9"), nonce: nonce)
      let rejected = FinishEffect(delivery: job.id, record: record(outcome: .rejected), nonce: nonce)
      let foreign = FinishEffect(delivery: job.id, record: record(outcome: .rejected), nonce: UUID())
      #expect(try await !fixture.effects.submit(foreign))
      #expect(try await fixture.effects.submit(accepted))
      #expect(try await !fixture.effects.submit(rejected))
      let stored = try #require(try await fixture.store.records(of: job.id).first)
      #expect(stored.outcome == .accepted)
      #expect(stored.remoteID == "9")
    }
  }

  @Test func aLateOutcomeEndsTheDoubt() async throws {
    try await PublishingFixture.run { fixture in
      let job = try await claimed(fixture)
      let nonces = [UUID(), UUID()]
      _ = try await fixture.effects.submit(start(job, record("one"), nonce: nonces[0]))
      _ = try await fixture.effects.submit(start(job, record("two"), nonce: nonces[1]))
      let end = EndDelivery(lease: job.lease, end: DeliveryEnd(.unconfirmed), attempts: 1)
      #expect(try await fixture.effects.submit(end))
      #expect(try await !fixture.store.settleLate(job.id))
      var accepted = record("one", outcome: .accepted, remoteID: "1")
      accepted.remoteURL = "https://a.example/by-rule/1"
      let first = FinishEffect(delivery: job.id, record: accepted, nonce: nonces[0])
      _ = try await fixture.effects.submit(first)
      // One of two is still missing.
      #expect(try await !fixture.store.settleLate(job.id))
      let second = FinishEffect(delivery: job.id, record: record("two", outcome: .accepted), nonce: nonces[1])
      _ = try await fixture.effects.submit(second)
      #expect(try await fixture.store.settleLate(job.id))
      #expect(try await !fixture.store.settleLate(job.id))
      let delivery = try await fixture.delivery(job.id)
      #expect(delivery.state == .sent)
      #expect(delivery.remoteID == "1")
      #expect(delivery.url == "https://a.example/by-rule/1")
      #expect(try await fixture.events(job.id) == ["delivery.unconfirmed", "delivery.sent"])
    }
  }

  @Test func aLateOutcomeWithATakenIdStillEndsTheDoubt() async throws {
    try await PublishingFixture.run { fixture in
      let other = try await claimed(fixture)
      _ = try await fixture.effects.submit(start(other, record()))
      let sent = EndDelivery(lease: other.lease, end: DeliveryEnd(.sent, remoteID: "9"), attempts: 1)
      try await fixture.settle(other, .finished(with: sent))
      let job = try await claimed(fixture)
      let nonce = UUID()
      _ = try await fixture.effects.submit(start(job, record(), nonce: nonce))
      _ = try await fixture.effects.submit(EndDelivery(lease: job.lease, end: DeliveryEnd(.unconfirmed), attempts: 1))
      let late = FinishEffect(delivery: job.id, record: record(outcome: .accepted, remoteID: "9"), nonce: nonce)
      _ = try await fixture.effects.submit(late)
      #expect(try await fixture.store.settleLate(job.id))
      #expect(try await fixture.delivery(job.id).remoteID == nil)
    }
  }

  @Test func onlyOutcomesThatAreMissingGetALastByte() async throws {
    try await PublishingFixture.run { fixture in
      let job = try await claimed(fixture)
      let nonces = [UUID(), UUID(), UUID()]
      for (nonce, step) in zip(nonces, ["a", "b", "c"]) {
        _ = try await fixture.effects.submit(start(job, record(step), nonce: nonce))
      }
      let unknown = FinishEffect(delivery: job.id, record: record("a", outcome: .unknown), nonce: nonces[0])
      let rejected = FinishEffect(delivery: job.id, record: record("b", outcome: .rejected), nonce: nonces[1])
      _ = try await fixture.effects.submit(unknown)
      _ = try await fixture.effects.submit(rejected)
      try await fixture.store.closeLastByte(delivery: job.id)
      let known = Dictionary(
        uniqueKeysWithValues: try await fixture.store.records(of: job.id).map { ($0.key.step, $0.lastByteAt != nil) }
      )
      #expect(known == ["a": true, "b": false, "c": true])
    }
  }

  @Test func absenceClosesOpenCommitsOnly() async throws {
    try await PublishingFixture.run { fixture in
      let job = try await claimed(fixture)
      let nonces = [UUID(), UUID()]
      _ = try await fixture.effects.submit(start(job, record("a"), nonce: nonces[0]))
      _ = try await fixture.effects.submit(start(job, record("b"), nonce: nonces[1]))
      _ = try await fixture.effects.submit(start(job, record("u", .prepare)))
      let done = FinishEffect(delivery: job.id, record: record("a", outcome: .accepted), nonce: nonces[0])
      _ = try await fixture.effects.submit(done)
      try await fixture.store.closeAbsent(job.id)
      let outcomes = Dictionary(
        uniqueKeysWithValues: try await fixture.store.records(of: job.id).map { ($0.key.step, $0.outcome) }
      )
      #expect(outcomes == ["a": .accepted, "b": .notSent, "u": nil])
    }
  }

  // MARK: Ends

  @Test func anEndNeedsTheLeaseAndComesOnce() async throws {
    try await PublishingFixture.run { fixture in
      let job = try await claimed(fixture)
      let lost = Lease(jobID: job.id, fence: job.lease.fence + 1, nodeEpoch: job.lease.nodeEpoch)
      let end = DeliveryEnd(.sent, remoteID: "7", url: "https://a.example/7", warnings: ["w \"1\"", "é"])
      #expect(try await !fixture.effects.submit(EndDelivery(lease: lost, end: end, attempts: 1)))
      #expect(try await fixture.effects.submit(EndDelivery(lease: job.lease, end: end, attempts: 2)))
      let failed = DeliveryEnd(.failed)
      #expect(try await !fixture.effects.submit(EndDelivery(lease: job.lease, end: failed, attempts: 3)))
      let delivery = try await fixture.delivery(job.id)
      #expect(delivery.state == .sent)
      #expect(delivery.warnings == ["w \"1\"", "é"])
      #expect(delivery.attempts == 2)
      #expect(try await fixture.events(job.id) == ["delivery.sent"])
    }
  }

  @Test(arguments: [
    (OutcomeClass?.some(.accepted), DeliveryState.sent), (.some(.unknown), .unconfirmed), (nil, .unconfirmed),
    (.some(.rejected), .failed), (.some(.notSent), .failed),
  ])
  func theStatementItselfHoldsThePromise(outcome: OutcomeClass?, expected: DeliveryState) async throws {
    try await PublishingFixture.run { fixture in
      let job = try await claimed(fixture)
      let nonce = UUID()
      _ = try await fixture.effects.submit(start(job, record(), nonce: nonce))
      if let outcome {
        _ = try await fixture.effects.submit(
          FinishEffect(delivery: job.id, record: record(outcome: outcome), nonce: nonce)
        )
      }
      let problem = DeliveryProblem(kind: "internal", retry: .never, message: "m")
      let end = EndDelivery(lease: job.lease, end: DeliveryEnd(.failed, problem: problem), attempts: 1)
      #expect(try await fixture.effects.submit(end))
      #expect(try await fixture.delivery(job.id).state == expected)
    }
  }

  @Test func aFoundPostConfirmsTheOpenCommitsInTheSameMoment() async throws {
    try await PublishingFixture.run { fixture in
      let job = try await claimed(fixture)
      _ = try await fixture.effects.submit(start(job, record()))
      let lost = Lease(jobID: job.id, fence: job.lease.fence + 1, nodeEpoch: job.lease.nodeEpoch)
      let end = DeliveryEnd(.sent, remoteID: "7", url: "https://a.example/7", confirmsOpen: true)
      _ = try await fixture.effects.submit(EndDelivery(lease: lost, end: end, attempts: 1))
      #expect(try await fixture.store.records(of: job.id).map(\.outcome) == [nil])
      #expect(try await fixture.effects.submit(EndDelivery(lease: job.lease, end: end, attempts: 1)))
      let stored = try #require(try await fixture.store.records(of: job.id).first)
      #expect(stored.outcome == .accepted)
      #expect(stored.closedBy == "reconcile")
      #expect(stored.remoteID == "7")
    }
  }

  @Test func theSameIdTwiceInOneFlushEndsBoth() async throws {
    try await PublishingFixture.run { fixture in
      try await fixture.pool.execute("UPDATE lanes SET cap = 2")
      _ = try await fixture.dispatch("a")
      _ = try await fixture.dispatch("b")
      let jobs = [try #require(try await fixture.claim()), try #require(try await fixture.claim())]
      let ends = jobs.map { EndDelivery(lease: $0.lease, end: DeliveryEnd(.sent, remoteID: "1"), attempts: 1) }
      async let first = fixture.effects.submit(ends[0])
      async let second = fixture.effects.submit(ends[1])
      #expect(try await [first, second] == [true, true])
      for job in jobs { #expect(try await fixture.delivery(job.id).state == .sent) }
    }
  }
}
