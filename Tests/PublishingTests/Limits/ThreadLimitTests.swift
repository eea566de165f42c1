import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import JobQueue
@testable import Publishing

/// Each post of a thread counts in the limits of its account.
@Suite(.database) struct ThreadLimitTests {
  /// Publishes so many parts; what the host refuses for its limits ends the call in part, as an adapter tells it.
  private static func script(_ parts: [String]) -> String {
    #"""
    n1=0
    for s in \#(parts.joined(separator: " ")); do
      http post $s '{"text":"'$s'"}'
      case $reply in
        *'"status":200'*) n1=$((n1+1));;
        *rateLimited*) ms=${reply#*'"retryAfterMs":'}; ms=${ms%%[,\}]*}
          answer '{"partial":{"remoteId":"1","sent":'$n1',"total":9,"error":{"code":1010,"message":"later","data":{"kind":"rateLimited","retry":"after","retryAfterMs":'$ms'}}}}'
          continue 2;;
        *) fail outcomeUnknown reconcile; continue 2;;
      esac
    done
    ok 1
    """#
  }

  /// - Parameter count: posts a minute; half of them may come at once.
  private static func manifest(_ scope: String, _ count: Int) -> String {
    ProbeManifest.text(
      rateLimits: #"[{"rules": ["post"], "\#(scope)": {"count": \#(count), "windowMs": 60000}}]"#
    )
  }

  /// The turns that are used, in the buckets of the account, of its site and of the app.
  private func used(_ fixture: PublishingFixture) async throws -> [Int] {
    try await fixture.pool.query(
      """
      SELECT round(extract(epoch FROM tat - clock_timestamp()) / extract(epoch FROM rate_interval))::int8 AS n
      FROM lanes WHERE rate_interval IS NOT NULL
      UNION ALL
      SELECT round(extract(epoch FROM tat - clock_timestamp()) / extract(epoch FROM rate_interval))::int8
      FROM lane_pools WHERE rate_interval IS NOT NULL
      """
    ).map { try $0.get("n", as: Int.self) }
  }

  @Test(arguments: ["perAccount", "perSite", "perApp"])
  func aThreadCostsATurnForEachPost(_ scope: String) async throws {
    try await PublishingFixture.run(
      Self.script(["one", "two", "three", "four"]),
      manifest: Self.manifest(scope, 40)
    ) { fixture in
      try await fixture.assembly.lanes.refresh()
      let id = try await fixture.dispatchThread(parts: 4)
      try await fixture.drive()
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(try await used(fixture) == [4])
    }
  }

  @Test(arguments: ["perAccount", "perSite", "perApp"])
  func anEmptyBucketInTheMiddleIsWaitedOut(_ scope: String) async throws {
    try await PublishingFixture.run(
      Self.script(["one", "two", "three", "four"]),
      manifest: Self.manifest(scope, 4)
    ) { fixture in
      try await fixture.assembly.lanes.refresh()
      let id = try await fixture.dispatchThread(parts: 4)
      let job = try #require(try await fixture.claim())
      let outcome = await fixture.assembly.handler.run(job)
      guard case .snoozed(let delay) = outcome.way else {
        Issue.record("It does not wait: \(outcome.way)")
        return
      }
      // 4 a minute are 2 at once and one each 20 s.
      #expect((Duration.seconds(15)...Duration.seconds(20)).contains(delay))
      try await fixture.settle(job, outcome)
      #expect(fixture.bodies.count == 2)
      #expect(try await used(fixture) == [2])
      let waiting = try await fixture.delivery(id)
      #expect(!waiting.state.isEnd)
      #expect(waiting.error?.contains("rateLimited") == true)
      // Each turn that comes back lets one more post out.
      for count in [3, 4] {
        for table in ["lanes", "lane_pools"] as [StaticString] {
          try await fixture.pool.execute(
            "UPDATE \(trusted: table) SET tat = tat - rate_interval WHERE rate_interval IS NOT NULL"
          )
        }
        _ = try #require(try await fixture.step())
        #expect(fixture.bodies.count == count)
        #expect(try await used(fixture) == [2])
      }
      #expect(try await fixture.delivery(id).state == .sent)
      #expect(fixture.bodies == ["one", "two", "three", "four"].map { #"{"text":"\#($0)"}"# })
    }
  }

  /// A server of the account's own may call its limits what it likes: other accounts have other servers.
  @Test(arguments: [true, false]) func whatAServerOfItsOwnSaysHoldsForItsAccount(_ isOwn: Bool) async throws {
    let headers =
      #""rateLimitHeaders": [{"scope": "perApp", "remaining": "x-left", "reset": {"header": "x-reset", "unit": "seconds"}}], "#
    let manifest = ProbeManifest.text(
      egress: ProbeManifest.egress.replacing(
        #""calls": ["post/publish"], "body": "json", "remoteId": "/id", "remoteUrl""#,
        with:
          #""calls": ["post/publish"], "exposeHeaders": ["x-left", "x-reset"], "body": "json", "remoteId": "/id", "remoteUrl""#
      )
    ).replacing(#""rateLimits":"#, with: headers + #""rateLimits":"#)
    try await PublishingFixture.run(#"http post post '{"text":"a"}'; ok 1"#, manifest: manifest) { fixture in
      try await fixture.assembly.lanes.refresh()
      if isOwn { try await fixture.pool.execute("UPDATE platform_connections SET origin = 'https://own.example'") }
      fixture.platform.next(
        "POST /posts",
        ProbePlatform.Answer(status: 200, body: #"{"id":"1"}"#, headers: ["x-left": "0", "x-reset": "500"])
      )
      _ = try await fixture.dispatch()
      let job = try #require(try await fixture.claim())
      let outcome = await fixture.assembly.handler.run(job)
      #expect((outcome.laneBlock != nil) == isOwn)
      let pools = try await fixture.count(
        "SELECT count(*)::int8 FROM lane_pools WHERE blocked_until > clock_timestamp()"
      )
      #expect(pools == (isOwn ? 0 : 1))
    }
  }
}
