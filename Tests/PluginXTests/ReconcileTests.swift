import PluginKit
import PluginTestKit
import Synchronization
import Testing
import plugin_x

@Suite struct ReconcileTests {
  private let account = Account(id: "1001", name: "Ann", handle: "ann")
  private let job = JobInfo(key: "k-1", now: "2026-01-02T03:00:00.000Z", seed: "0")
  private let sent = Evidence(
    step: "post",
    rule: "createPost",
    effectClass: "commit",
    state: "done",
    outcome: "unknown",
    sentAt: "2026-01-02T03:04:05.000Z"
  )

  private func verdict(
    _ post: Post,
    _ pages: [String],
    evidence: [Evidence]? = nil,
    account: Account? = nil
  ) async throws -> (Verdict, [PerformHTTPRequest]) {
    let left = Mutex(pages)
    let host = ScriptedHost(XPlatform()) { _ throws(PlatformError) in
      let page = left.withLock { $0.isEmpty ? nil : $0.removeFirst() }
      guard let page, let json = try? RawJSON(text: page) else { throw PlatformError(.internal, "no more pages") }
      return HTTPAnswer(status: 200, json: json)
    }
    _ = try await host.start()
    let verdict = try await host.reconcile(post, account ?? self.account, job: job, evidence: evidence ?? [sent])
    return (verdict, host.requests)
  }

  private func entry(
    _ id: String,
    _ text: String,
    _ more: String = "",
    at: String = "2026-01-02T03:04:06.000Z"
  ) -> String {
    #"{"id":""# + id + #"","text":"# + RawJSON.string(text).text + #","created_at":""# + at + "\"" + more + "}"
  }

  private func page(_ entries: [String], next: String? = nil) -> String {
    let token = next.map { #","next_token":""# + $0 + "\"" } ?? ""
    return #"{"data":["# + entries.joined(separator: ",") + #"],"meta":{"result_count":\#(entries.count)"# + token
      + "}}"
  }

  @Test func findsTheTextBehindShortLinksAndEscapes() async throws {
    let post = Post(
      text: "Salt & pepper <3  é",
      url: "https://Example.com/a?x=1&y=2",
      media: [
        MediaItem(handle: "m", type: "image/png", bytes: 1)
      ]
    )
    let entities = #"""
      ,"attachments":{"media_keys":["3_1"]},"entities":{"urls":[{"url":"https://t.co/aaa","expanded_url":"https://example.com/a?x=1&y=2"},
      {"url":"https://t.co/bbb","expanded_url":"https://x.com/ann/status/9/photo/1","media_key":"3_1"}]}
      """#
    let text = "Salt &amp; pepper &lt;3 e\u{301}\nhttps://t.co/aaa https://t.co/bbb"
    let (verdict, requests) = try await verdict(post, [page([entry("8", "other"), entry("9", text, entities)])])
    #expect(verdict == .found(remoteID: "9", url: "https://x.com/ann/status/9"))
    let query = try #require(requests.first?.query)
    #expect(query["start_time"] == "2026-01-02T03:02:05Z")
    #expect(query["exclude"] == "retweets")
    #expect(requests.first?.path == ["userId": "1001"])
  }

  @Test func aBareDomainMatchesItsExpandedLink() async throws {
    let entities = #","entities":{"urls":[{"url":"https://t.co/a","expanded_url":"http://example.com/"}]}"#
    let (verdict, _) = try await verdict(
      Post(text: "See example.com."),
      [page([entry("9", "See https://t.co/a.", entities)])]
    )
    #expect(verdict == .found(remoteID: "9", url: "https://x.com/ann/status/9"))
  }

  @Test func isAbsentOnlyAfterTheLastPage() async throws {
    let empty = #"{"meta":{"result_count":0}}"#
    #expect(try await verdict(Post(text: "a"), [empty]).0 == .absent)
    let (verdict, requests) = try await verdict(
      Post(text: "a"),
      [page([entry("1", "b")], next: "n1"), page([entry("2", "c")], next: "n2"), page([entry("3", "a")])]
    )
    #expect(verdict == .found(remoteID: "3", url: "https://x.com/ann/status/3"))
    #expect(requests.map { $0.query["pagination_token"] } == [nil, "n1", "n2"])
    #expect(Set(requests.map(\.step)).count == 3)
  }

  @Test func anEndlessTimelineIsUnknown() async throws {
    let pages = (0..<20).map { page([entry("1\($0)", "b")], next: "n\($0)") }
    let (verdict, requests) = try await verdict(Post(text: "a"), pages)
    guard case .unknown = verdict else {
      Issue.record("\(verdict)")
      return
    }
    #expect(requests.count == 10)
  }

  @Test func twoMatchesAreUnknown() async throws {
    guard case .unknown(let why) = try await verdict(Post(text: "a"), [page([entry("1", "a"), entry("2", "a")])]).0
    else {
      Issue.record("not unknown")
      return
    }
    #expect(why.contains("1, 2"))
  }

  @Test func olderPostsAndOtherPictureCountsDoNotMatch() async throws {
    let old = entry("1", "a", at: "2026-01-02T03:02:04.000Z")
    let withPicture = entry("2", "a", #","attachments":{"media_keys":["3_1"]}"#)
    #expect(try await verdict(Post(text: "a"), [page([old, withPicture])]).0 == .absent)
  }

  @Test func aPictureWithoutTextMatchesByItsCount() async throws {
    let post = Post(text: "", media: [MediaItem(handle: "m", type: "image/png", bytes: 1)])
    let more =
      #","attachments":{"media_keys":["3_1"]},"entities":{"urls":[{"url":"https://t.co/b","media_key":"3_1"}]}"#
    let (verdict, _) = try await verdict(post, [page([entry("5", "https://t.co/b", more)])])
    #expect(verdict == .found(remoteID: "5", url: "https://x.com/ann/status/5"))
  }

  @Test func evidenceWithAnIDNeedsNoSearch() async throws {
    var known = sent
    known.remoteID = "42"
    let (verdict, requests) = try await verdict(Post(text: "a"), [], evidence: [known])
    #expect(verdict == .found(remoteID: "42", url: "https://x.com/ann/status/42"))
    #expect(requests.isEmpty)
  }

  private func reply(to id: String) -> String {
    #","referenced_tweets":[{"type":"quoted","id":"7"},{"type":"replied_to","id":""# + id + #""}]"#
  }

  @Test func aPostOfAThreadIsFoundBelowTheOneBefore() async throws {
    let thread = Post(text: "one", segments: [PostSegment(text: "two"), PostSegment(text: "three")])
    var (first, second) = (sent, sent)
    (first.outcome, first.remoteID) = ("accepted", "10")
    second.step = "post-2"
    let entries = [
      entry("12", "two", reply(to: "9")), entry("11", "two", reply(to: "10")), entry("13", "two"),
      entry("10", "one"),
    ]
    let found = try await verdict(thread, [page(entries)], evidence: [first, second]).0
    #expect(found == .found(remoteID: "11", url: "https://x.com/ann/status/11"))
    let absent = try await verdict(thread, [page([entries[0], entries[2], entries[3]])], evidence: [first, second]).0
    #expect(absent == .absent)
    // Without the id of the post before, any answer with the text may be it.
    first.remoteID = nil
    guard case .unknown = try await verdict(thread, [page(entries)], evidence: [first, second]).0 else {
      Issue.record("not unknown")
      return
    }
  }

  @Test func theFirstPostOfAThreadAnswersToNothing() async throws {
    let thread = Post(text: "one", segments: [PostSegment(text: "two")])
    let (verdict, requests) = try await verdict(thread, [page([entry("9", "one", reply(to: "8"))])])
    #expect(verdict == .absent)
    #expect(requests.first?.query["tweet.fields"]?.contains("referenced_tweets") == true)
  }

  @Test func anAccountWithoutAnIDIsUnknown() async throws {
    guard case .unknown = try await verdict(Post(text: "a"), [], account: Account(id: "", name: "n")).0 else {
      Issue.record("not unknown")
      return
    }
  }

  @Test(arguments: ["[]", "{}", #"{"data":[{}],"meta":{}}"#, #"{"data":[{"id":"1"}],"meta":{}}"#])
  func anUnreadableTimelineIsAnError(_ body: String) async throws {
    await #expect { try await verdict(Post(text: "a"), [body]) } throws: {
      ($0 as? PlatformError)?.kind == .platformChanged
    }
  }

  @Test func withoutASendTimeTheJobsOwnTimeCounts() async throws {
    let (_, requests) = try await verdict(Post(text: "a"), [page([])], evidence: [])
    #expect(requests.first?.query["start_time"] == "2026-01-02T02:58:00Z")
  }
}
