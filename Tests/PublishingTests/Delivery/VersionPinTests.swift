import FoundationEssentials
import PluginManifest
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import PluginHost
@testable import Publishing

/// Which version of an adapter goes on with a delivery that another one began.
@Suite(.database) struct VersionPinTests {
  /// Publishes two posts with a wait between, or looks for what is out.
  private static func thread(_ name: String) -> String {
    #"""
    case $method in
      post/publish)
        http post one '{"text":"\#(name) 1"}'
        if once wait; then answer '{"wait":{"afterMs":1000,"why":"v"}}'; else
          http post two '{"text":"\#(name) 2"}'; ok \#(name); fi;;
      *) get find find; answer '{"verdict":"found","remoteId":"\#(name)","url":"https://a.example/1"}';;
    esac
    """#
  }

  @Test func aDeliveryWithAnAcceptedCommitStaysOnItsVersion() async throws {
    try await PublishingFixture.run(Self.thread("old")) { fixture in
      let id = try await fixture.dispatch()
      #expect(try await fixture.step() == .snoozed(.seconds(1)))
      let changes = await fixture.plugins.apply([try await fixture.plugin(version: "2.0.0", Self.thread("new"))])
      #expect(changes.first?.version == "2.0.0")
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(fixture.platform.published == [#"{"text":"old 1"}"#, #"{"text":"old 2"}"#])
      #expect(try await fixture.delivery(id).warnings.isEmpty)
      #expect(try await fixture.version(of: id) == "1.0.0")
      // The next one is the new version's.
      let next = try await fixture.dispatch("next")
      try await fixture.drive()
      #expect(fixture.platform.published.suffix(2) == [#"{"text":"new 1"}"#, #"{"text":"new 2"}"#])
      #expect(try await fixture.version(of: next) == "2.0.0")
    }
  }

  @Test func aDeliveryThatOnlyPreparedStartsAnewOnTheNewVersion() async throws {
    func script(_ name: String) -> String {
      #"""
      http upload media '{"v":"\#(name)"}'
      if once wait; then answer '{"wait":{"afterMs":1000,"why":"v"}}'; else http post post '{"text":"\#(name)"}'; ok 1; fi
      """#
    }
    try await PublishingFixture.run(script("old")) { fixture in
      let id = try await fixture.dispatch()
      #expect(try await fixture.step() == .snoozed(.seconds(1)))
      await fixture.plugins.apply([try await fixture.plugin(version: "2.0.0", script("new"))])
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(
        fixture.platform.received.filter { $0.path == "/uploads" }.map(\.body) == [
          #"{"v":"old"}"#, #"{"v":"new"}"#,
        ]
      )
      #expect(fixture.platform.published == [#"{"text":"new"}"#])
      #expect(try await fixture.version(of: id) == "2.0.0")
    }
  }

  @Test func aVersionThatIsGoneIsNeverReplayedByAnother() async throws {
    try await PublishingFixture.run(Self.thread("old")) { fixture in
      let id = try await fixture.dispatch()
      #expect(try await fixture.step() == .snoozed(.seconds(1)))
      // Taken away and installed in another version: nobody has the old one any more.
      await fixture.plugins.apply([])
      await fixture.plugins.apply([try await fixture.plugin(version: "2.0.0", Self.thread("new"))])
      try await fixture.drive()
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .sent)
      #expect(delivery.warnings.count == 1)
      #expect(fixture.platform.published == [#"{"text":"old 1"}"#])
    }
  }

  @Test func anotherVersionLooksForWhatTheOldOneMayHavePublished() async throws {
    try await PublishingFixture.run(Self.thread("old")) { fixture in
      fixture.platform.next("POST /posts", .unknown)
      let id = try await fixture.dispatch()
      let job = try #require(try await fixture.claim())
      // The host dies with the request on its way.
      _ = await fixture.assembly.handler.run(job)
      await fixture.plugins.apply([])
      await fixture.plugins.apply([try await fixture.plugin(version: "2.0.0", Self.thread("new"))])
      try await fixture.settle(job, .unknown(checkAfter: .seconds(1)))
      try await fixture.drive()
      #expect(try await fixture.delivery(id).remoteID == "new")
      #expect(fixture.platform.count("POST /posts") == 1)
    }
  }

  @Test func aVersionThatIsTakenBackFailsNoDelivery() async throws {
    try await PublishingFixture.run(#"http post post '{"text":"good"}'; ok 1"#) { fixture in
      await fixture.plugins.apply([try await fixture.plugin(version: "2.0.0", "exit 7")])
      #expect(fixture.plugins.manifest(for: "probe")?.version.description == "2.0.0")
      let id = try await fixture.dispatch()
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(fixture.plugins.manifest(for: "probe")?.version.description == "1.0.0")
      #expect(try await fixture.version(of: id) == "1.0.0")
    }
  }

  @Test func aPostThatKillsTheAdapterFailsWithAReasonAndOthersGoOut() async throws {
    let script = #"case $line in *poison*) exit 7;; *) http post post '{"text":"a"}'; ok 1;; esac"#
    try await PublishingFixture.run(script) { fixture in
      let poison = try await fixture.dispatch("poison")
      let ways = try await fixture.drive()
      let delivery = try await fixture.delivery(poison)
      #expect(delivery.state == .failed, "\(ways)")
      #expect(delivery.error?.contains("jobParked") == true)
      #expect(delivery.error?.contains("exit code 7") == true)
      let good = try await fixture.dispatch("good")
      try await fixture.drive()
      #expect(try await fixture.delivery(good).state == .sent)
      #expect(fixture.plugins.status().first?.quarantine == nil)
    }
  }

  @Test func aPostThatIsOutNeverFailsBecauseTheAdapterDies() async throws {
    let script = #"http post post '{"text":"a"}'; exit 7"#
    try await PublishingFixture.run(script) { fixture in
      let id = try await fixture.dispatch()
      try await fixture.drive()
      let delivery = try await fixture.delivery(id)
      #expect(delivery.state == .sent)
      #expect(delivery.remoteID == "1")
      #expect(fixture.platform.published.count == 1)
    }
  }
}

extension PublishingFixture {
  fileprivate func version(of id: Int64) async throws -> String? {
    try await pool.query("SELECT plugin_version FROM deliveries WHERE id = \(id)").first?.get("plugin_version")
  }
}
