import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// Whatever an adapter says: what was accepted never fails, and nothing goes out twice.
@Suite(.database) struct LyingAdapterTests {
  private func expectSent(_ fixture: PublishingFixture, _ id: Int64, requests: Int = 1) async throws -> Delivery {
    let ways = try await fixture.drive()
    let delivery = try await fixture.delivery(id)
    #expect(delivery.state == .sent, "\(ways) \(delivery.error ?? "")")
    #expect(fixture.platform.published.count == 1)
    #expect(fixture.platform.count("POST /posts") == requests)
    #expect(try await fixture.events(id) == ["delivery.sent"])
    return delivery
  }

  @Test func anHonestAdapterPublishesOnce() async throws {
    try await PublishingFixture.run(#"http post post '{"text":"a"}'; ok 1"#) { fixture in
      let id = try await fixture.dispatch()
      let delivery = try await expectSent(fixture, id)
      #expect(delivery.remoteID == "1")
      #expect(delivery.url == "https://a.example/1")
      #expect(delivery.warnings.isEmpty)
      #expect(delivery.attempts == 1)
    }
  }

  @Test(arguments: ["never", "userFix", "reauth", "retry", "after", "reconcile", "upgrade", "strange"])
  func anErrorAfterAnAcceptedCommit(retry: String) async throws {
    try await PublishingFixture.run(#"http post post '{"text":"a"}'; fail contentRejected \#(retry)"#) { fixture in
      let id = try await fixture.dispatch()
      let delivery = try await expectSent(fixture, id)
      #expect(delivery.remoteID == "1")
      #expect(delivery.warnings.count == 1)
    }
  }

  @Test func aCrashAfterAnAcceptedCommitIsReplayed() async throws {
    let script = #"http post post '{"text":"a"}'; if once crash; then die; fi; ok 1"#
    try await PublishingFixture.run(script) { fixture in
      let id = try await fixture.dispatch()
      let delivery = try await expectSent(fixture, id)
      #expect(delivery.url == "https://a.example/1")
      #expect(delivery.warnings.isEmpty)
    }
  }

  @Test func aCrashBeforeAnythingWasSentIsReplayed() async throws {
    try await PublishingFixture.run(#"if once crash; then die; fi; http post post '{"text":"a"}'; ok 1"#) { fixture in
      let id = try await fixture.dispatch()
      _ = try await expectSent(fixture, id)
      #expect(try await fixture.delivery(id).attempts == 1)
    }
  }

  @Test func anotherBodyAfterAnAcceptedCommit() async throws {
    let script = #"""
      if once first; then http post post '{"text":"a"}'; die; fi
      http post post '{"text":"b"}'; if failed; then fail outcomeUnknown reconcile; else ok 2; fi
      """#
    try await PublishingFixture.run(script) { fixture in
      let id = try await fixture.dispatch()
      let delivery = try await expectSent(fixture, id)
      #expect(fixture.platform.published == [#"{"text":"a"}"#])
      #expect(delivery.warnings.count == 1)
    }
  }

  @Test func anotherStepNameAfterAnAcceptedCommit() async throws {
    let script = #"""
      if once first; then http post post '{"text":"a"}'; die; fi
      http post again '{"text":"a"}'; ok 1
      """#
    try await PublishingFixture.run(script) { fixture in
      let id = try await fixture.dispatch()
      _ = try await expectSent(fixture, id)
    }
  }

  @Test func aSuccessWithoutAnyRequest() async throws {
    try await PublishingFixture.run("ok 1") { fixture in
      let id = try await fixture.dispatch()
      #expect(try await fixture.drive() == [.retry(nil), .retry(nil), .finished])
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .failed)
      #expect(delivery.remoteID == nil)
      #expect(delivery.error?.contains("protocolViolation") == true)
      #expect(fixture.platform.received.isEmpty)
    }
  }

  @Test func aSuccessAfterARejectedCommit() async throws {
    try await PublishingFixture.run(#"http post post '{"text":"a"}'; ok 1"#) { fixture in
      fixture.platform.next("POST /posts", .rejected, .rejected, .rejected)
      let id = try await fixture.dispatch()
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .failed)
      #expect(fixture.platform.published.isEmpty)
      #expect(fixture.platform.count("POST /posts") == 3)
    }
  }

  @Test func theSameStepTwiceAtOnce() async throws {
    let script = #"""
      ask post post ',"json":{"text":"a"}'; ask post post ',"json":{"text":"a"}'
      IFS= read -r reply; first=$reply; IFS= read -r reply
      case $first$reply in *'"error"'*) fail internal never;; *) ok 1;; esac
      """#
    try await PublishingFixture.run(script) { fixture in
      let id = try await fixture.dispatch()
      #expect(try await expectSent(fixture, id).warnings.isEmpty)
    }
  }

  @Test func theSameStepTwiceAtOnceWithOtherBodies() async throws {
    let script = #"""
      ask post post ',"json":{"text":"a"}'; ask post post ',"json":{"text":"b"}'
      IFS= read -r reply; IFS= read -r reply; ok 1
      """#
    try await PublishingFixture.run(script) { fixture in
      _ = try await expectSent(fixture, try await fixture.dispatch())
    }
  }

  @Test func aCommitHiddenInTheLookUp() async throws {
    let script = #"""
      case $method in
        post/reconcile) http post hidden '{"text":"b"}'; answer '{"verdict":"unknown","why":"x"}';;
        *) http post post '{"text":"a"}'; ok 1;;
      esac
      """#
    try await PublishingFixture.run(script) { fixture in
      fixture.platform.next("POST /posts", .unknown)
      let id = try await fixture.dispatch()
      try await fixture.drive()
      #expect(fixture.platform.count("POST /posts") == 1)
      #expect(try await fixture.delivery(id).state == .unconfirmed)
    }
  }

  @Test func absenceWithoutALookUpIsNotBelieved() async throws {
    let script = #"""
      case $method in
        post/reconcile) answer '{"verdict":"absent"}';;
        *) http post post '{"text":"a"}'; if failed; then fail outcomeUnknown reconcile; else ok 1; fi;;
      esac
      """#
    try await PublishingFixture.run(script) { fixture in
      fixture.platform.next("POST /posts", .unknown)
      let id = try await fixture.dispatch()
      try await fixture.drive()
      #expect(fixture.platform.published.count == 1)
      #expect(try await fixture.delivery(id).state == .unconfirmed)
    }
  }

  @Test(arguments: ["null", #"{"remoteId":""}"#, #"{"remoteId":"a\\u0000b"}"#, "[]"])
  func anUnusableAnswerAfterAnAcceptedCommit(answer: String) async throws {
    try await PublishingFixture.run(#"http post post '{"text":"a"}'; answer '\#(answer)'"#) { fixture in
      _ = try await expectSent(fixture, try await fixture.dispatch())
    }
  }

  @Test func theIdOfAnotherDelivery() async throws {
    try await PublishingFixture.run(#"http post post '{"text":"a"}'; ok same"#) { fixture in
      let ids = [try await fixture.dispatch("One"), try await fixture.dispatch("Two")]
      let ways = try await fixture.drive()
      #expect(ways == [.finished, .finished])
      for id in ids { #expect(try await fixture.delivery(id).state == .sent) }
      #expect(fixture.platform.published.count == 2)
      #expect(try await fixture.count("SELECT count(*) FROM deliveries WHERE remote_id = 'same'") == 1)
    }
  }
}
