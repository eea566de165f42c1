import Dispatch
import Egress
import FoundationEssentials
import JSONText
import PluginManifest
import Testing

/// What is journaled, when, and what is never sent.
@Suite struct EffectOrderTests {
  private static let create = #"{"rule":"create","step":"post-1","json":{"text":"hello"}}"#
  private static let created = LoopbackServer.Reaction.answer(201, body: #"{"data":{"id":"42"}}"#)

  @Test func theStartedRowIsDurableBeforeTheFirstByte() async throws {
    let log = EventLog()
    let fixture = try Fixture { _ in
      log.add("received")
      return Self.created
    }
    let journal = MemoryJournal(log: log)
    let answer = try await fixture.perform(Self.create, journal: journal)
    log.add("answered")
    #expect(log.all == ["begin post-1", "started post-1", "received", "finish accepted", "answered"])
    #expect(answer.resultText == #"{"status":201,"headers":{},"json":{"data":{"id":"42"}},"truncated":false}"#)
    let outcome = try #require(await journal.outcomes.first)
    #expect(outcome.status == 201)
    #expect(outcome.remoteID == "42")
    #expect(outcome.answer?.text == answer.resultText)
    let sentAt = try #require(outcome.sentAt)
    let lastByteAt = try #require(outcome.lastByteAt)
    #expect(sentAt <= lastByteAt)
  }

  @Test func nothingIsSentUnlessTheJournalSaysSo() async throws {
    struct Lost: Error {}
    let fixture = try Fixture()
    let refusals: [(@Sendable (EffectIntent) throws -> EffectDecision, EgressError.Kind)] = [
      ({ _ in .refuse(EgressError(.cancelled, "the delivery was cancelled")) }, .cancelled),
      ({ _ in .reconcile }, .outcomeUnknown),
      ({ _ in throw Lost() }, .internal),
      ({ _ in throw EgressError(.draining, "the host stops") }, .draining),
    ]
    for (decide, kind) in refusals {
      let journal = MemoryJournal(decide: decide)
      let answer = try await fixture.perform(Self.create, journal: journal)
      #expect(answer.failure?.kind == kind)
      #expect(await journal.outcomes.isEmpty)
    }
    #expect(fixture.server.requests.isEmpty)
  }

  @Test func aReplayGivesTheVeryBytes() async throws {
    let stored = try RawJSON(text: #"{"status":201,"headers":{},"json":{"b":1.50,"a":"\u00e9"},"truncated":false}"#)
    let fixture = try Fixture()
    let journal = MemoryJournal { _ in .replay(.result(stored)) }
    // A replay needs no secret, so a vault that is away does not stop it.
    let secrets = FixedSecrets(error: EgressError(.authExpired, "expired"))
    let answer = try await fixture.perform(Self.create, journal: journal, secrets: secrets)
    #expect(answer.resultText == stored.text)
    #expect(answer.isReplay)
    let notSent = MemoryJournal { _ in .replay(.notSent) }
    #expect(try await fixture.perform(Self.create, journal: notSent).failure?.kind == .upstreamUnreachable)
    let read = MemoryJournal(storedRead: .result(stored))
    #expect(try await fixture.perform(#"{"rule":"me","path":{"id":"1"}}"#, journal: read).resultText == stored.text)
    #expect(fixture.server.requests.isEmpty)
  }

  @Test func aResetAfterTheRequestIsUnknown() async throws {
    for reaction in [LoopbackServer.Reaction.hangUp, .cutAnswer(201)] {
      let fixture = try Fixture { _ in reaction }
      let journal = MemoryJournal()
      let answer = try await fixture.perform(Self.create, journal: journal)
      #expect(answer.failure?.kind == .outcomeUnknown)
      #expect(answer.failure?.code == 1040)
      #expect(answer.failure?.retry == "reconcile")
      #expect(await journal.outcomes.map(\.outcome) == [.unknown])
      #expect(fixture.server.requests.count == 1)
    }
  }

  @Test func aCutAnswerToAReadIsATimeout() async throws {
    let fixture = try Fixture { _ in .cutAnswer(200) }
    let journal = MemoryJournal()
    let answer = try await fixture.perform(#"{"rule":"me","path":{"id":"1"}}"#, journal: journal)
    #expect(answer.failure?.kind == .upstreamTimeout)
    #expect(await journal.reads.isEmpty)
  }

  @Test func noConnectionIsNotSent() async throws {
    let fixture = try Fixture(allow: "127.0.0.1", endpoint: "http://127.0.0.1:1/hook")
    let journal = MemoryJournal()
    let answer = try await fixture.perform(#"{"rule":"hook","step":"s","json":{}}"#, journal: journal)
    #expect(answer.failure?.code == -32040)
    #expect(await journal.outcomes.map(\.outcome) == [.notSent])
  }

  @Test func aLeaseThatEndedStopsTheFirstByte() async throws {
    let fixture = try Fixture()
    let journal = MemoryJournal { _ in .send(EffectTicket(number: 1, sendBefore: .now - .seconds(1))) }
    let answer = try await fixture.perform(Self.create, journal: journal)
    #expect(answer.failure?.kind == .cancelled)
    #expect(await journal.outcomes.map(\.outcome) == [.notSent])
    #expect(fixture.server.requests.isEmpty)
  }

  @Test func aSecretThatIsAwayIsNotSentAndSaysWhy() async throws {
    let fixture = try Fixture()
    let journal = MemoryJournal()
    let secrets = FixedSecrets(error: EgressError(.authRevoked, "the account was disconnected"))
    let answer = try await fixture.perform(Self.create, journal: journal, secrets: secrets)
    #expect(answer.failure?.code == 1002)
    #expect(await journal.outcomes.map(\.outcome) == [.notSent])
    #expect(fixture.server.requests.isEmpty)
  }

  @Test func nothingBeginsAfterTheDeadline() async throws {
    let fixture = try Fixture()
    let journal = MemoryJournal()
    let answer = try await fixture.perform(Self.create, journal: journal, deadline: .seconds(-1))
    #expect(answer.failure?.kind == .deadlineExceeded)
    #expect(await journal.intents.isEmpty)
  }

  @Test func cancellingTheCallerDoesNotCutACommit() async throws {
    let arrived = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let release = DispatchSemaphore(value: 0)
    let fixture = try Fixture { _ in
      arrived.continuation.yield()
      release.wait()
      return Self.created
    }
    let journal = MemoryJournal()
    let caller = Task { try await fixture.perform(Self.create, journal: journal) }
    for await _ in arrived.stream { break }
    caller.cancel()
    release.signal()
    #expect(try await caller.value.resultText?.contains(#""id":"42""#) == true)
    #expect(await journal.outcomes.map(\.outcome) == [.accepted])
  }

  @Test func theSameStepTwiceAtOnceIsSentOnce() async throws {
    let arrived = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let release = DispatchSemaphore(value: 0)
    let fixture = try Fixture { _ in
      arrived.continuation.yield()
      release.wait()
      return Self.created
    }
    let journal = MemoryJournal()
    let first = Task { try await fixture.perform(Self.create, journal: journal) }
    for await _ in arrived.stream { break }
    // Runs up to its first suspension, which is the wait for the open step.
    let second = Task.immediate {
      try await fixture.perform(#"{"json": {"text": "hello"}, "step": "post-1", "rule": "create"}"#, journal: journal)
    }
    let other = try await fixture.perform(
      #"{"rule":"create","step":"post-1","json":{"text":"other"}}"#,
      journal: journal
    )
    #expect(other.failure?.kind == .invalidParams)
    #expect(other.failure?.field == "step")
    release.signal()
    let answers = [try await first.value.resultText, try await second.value.resultText]
    #expect(answers[0] != nil)
    #expect(answers[0] == answers[1])
    #expect(fixture.server.requests.count == 1)
    #expect(await journal.intents.count == 1)
    #expect(fixture.egress.openDeliveries == 0)
  }

  @Test func onlyOneCommitOfADeliveryIsOpen() async throws {
    let log = EventLog()
    let fixture = try Fixture { request in
      log.add("received \(request.text)")
      return Self.created
    }
    let journal = MemoryJournal(log: log)
    let steps = ["1", "2", "3"]
    try await withThrowingTaskGroup { group in
      for step in steps {
        group.addTask {
          try await fixture.perform(#"{"rule":"create","step":"\#(step)","json":\#(step)}"#, journal: journal)
        }
      }
      for try await answer in group { #expect(answer.failure == nil) }
    }
    let order = log.all.filter { $0.hasPrefix("begin ") }.map { String($0.dropFirst(6)) }
    #expect(order.sorted() == steps)
    #expect(log.all == order.flatMap { ["begin \($0)", "started \($0)", "received \($0)", "finish accepted"] })
  }

  @Test func commitsOfDifferentDeliveriesDoNotWait() async throws {
    let arrived = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(8))
    let release = DispatchSemaphore(value: 0)
    let one = try Fixture { _ in
      arrived.continuation.yield()
      release.wait()
      return Self.created
    }
    let scope = EgressScope(site: 1, connection: 7, pluginID: "sample", requestKey: "another")
    let params = try RawJSON(text: Self.create)
    let first = Task { try await one.perform(Self.create) }
    let second = Task {
      await one.egress.perform(
        params,
        method: "post/publish",
        manifest: one.manifest,
        scope: scope,
        secrets: FixedSecrets(),
        journal: MemoryJournal(),
        media: NoMedia(),
        deadline: .now + .seconds(300)
      )
    }
    var count = 0
    for await _ in arrived.stream {
      count += 1
      if count == 2 { break }
    }
    release.signal()
    release.signal()
    #expect(try await first.value.failure == nil)
    #expect(await second.value.failure == nil)
  }

  @Test func readsAreRecordedWithWhatThePluginWasTold() async throws {
    let fixture = try Fixture { _ in
      .answer(503, headers: ["date": "Sun, 06 Nov 1994 08:49:37 GMT"], body: "busy")
    }
    let journal = MemoryJournal()
    let answer = try await fixture.perform(#"{"rule":"me","path":{"id":"1"}}"#, journal: journal)
    let record = try #require(await journal.reads.first)
    #expect(record.step == "me")
    #expect(record.status == 503)
    #expect(record.answer.text == answer.resultText)
    #expect(record.answer.text == #"{"status":503,"headers":{},"text":"busy","truncated":false}"#)
    #expect(record.platformDate?.timeIntervalSince1970 == 784_111_777)
    #expect(!record.isLookup)
    #expect(await journal.intents.isEmpty)
  }

  @Test func aReadMayAskToBeJournaled() async throws {
    let fixture = try Fixture()
    let journal = MemoryJournal()
    let answer = try await fixture.perform(
      #"{"rule":"me","step":"s","class":"prepare","path":{"id":"1"}}"#,
      journal: journal
    )
    #expect(answer.failure == nil)
    #expect(await journal.intents.map(\.effectClass) == [.prepare])
    #expect(await journal.outcomes.map(\.outcome) == [.accepted])
  }

  @Test func accountCallsReadAndRepeatButNeverCommit() async throws {
    let fixture = try Fixture()
    let journal = AccountCallJournal()
    #expect(try await fixture.perform(#"{"rule":"me","path":{"id":"1"}}"#, journal: journal).failure == nil)
    let refused = try await fixture.perform(Self.create, journal: journal)
    #expect(refused.failure?.kind == .capabilityDenied)
    #expect(fixture.server.requests.count == 1)
  }
}
