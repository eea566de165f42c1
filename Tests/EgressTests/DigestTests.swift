import Egress
import JSONText
import Testing

/// The digest is the same for the same decision of the plugin, and for no other.
@Suite struct DigestTests {
  private static let media = FixedMedia(files: [
    "m-1": MediaFile(path: "/dev/null", byteCount: 100, type: "image/png", sha256: "aa", filename: "a.png"),
    "m-2": MediaFile(path: "/dev/null", byteCount: 100, type: "image/png", sha256: "aa", filename: "b.png"),
    "m-3": MediaFile(path: "/dev/null", byteCount: 100, type: "image/png", sha256: "bb", filename: "c.png"),
  ])

  private func digest(_ params: String, _ fixture: Fixture) async throws -> String {
    let journal = MemoryJournal { _ in .refuse(EgressError(.draining, "enough")) }
    _ = try await fixture.perform(params, journal: journal, media: Self.media)
    return try #require(await journal.intents.first?.digest)
  }

  @Test func isWhatThePageSays() async throws {
    let fixture = try Fixture()
    // SHA-256 of {"json":{"a":1,"b":"é"},"rule":"create"}
    let found = try await digest(#"{"rule":"create","step":"s","json":{"b":"\u00e9","a":1.0}}"#, fixture)
    #expect(found == "d1:099bc45672fb1b570375b96e7ceb73f1f3541d36df26a82056a1b3a9a21d272e")
  }

  @Test(arguments: [
    (
      #"{"rule":"create","step":"s","json":{"a":{"x":1,"y":[1,2]},"b":"é/"}}"#,
      #"{"json":{ "b":"\u00e9\/", "a":{"y":[1, 2],"x":1} },"step":"other","rule":"create","timeoutMs":100,"call":"c1"}"#
    ),
    (
      #"{"rule":"form","step":"s","form":{"a":"1","b":"2"}}"#, #"{"rule":"form","step":"s","form":{"b":2,"a":1}}"#
    ),
    (
      #"{"rule":"upload","step":"s","multipart":[{"name":"f","media":"m-1","type":"image/png"}]}"#,
      #"{"rule":"upload","step":"s","multipart":[{"type":"image/png","media":"m-2","name":"f"}]}"#
    ),
    (
      #"{"rule":"chunk","step":"s","media":{"handle":"m-1","range":[0,5]},"headers":{"Content-Range":"x"}}"#,
      #"{"rule":"chunk","step":"s","headers":{"content-range":"x"},"media":{"range":[0,5],"handle":"m-2"}}"#
    ),
  ])
  func isStable(_ one: String, _ other: String) async throws {
    let fixture = try Fixture()
    let first = try await digest(one, fixture)
    #expect(first.hasPrefix("d1:"))
    #expect(first.utf8.count == 67)
    #expect(try await digest(other, fixture) == first)
  }

  @Test func differsForEveryOtherDecision() async throws {
    let fixture = try Fixture()
    let all = [
      #"{"rule":"create","step":"s","json":{"a":1}}"#,
      #"{"rule":"create","step":"s","json":{"a":"1"}}"#,
      #"{"rule":"create","step":"s","json":{"a":2}}"#,
      #"{"rule":"create","step":"s","json":[]}"#,
      #"{"rule":"create","step":"s","json":{}}"#,
      #"{"rule":"nested","step":"s","json":{}}"#,
      #"{"rule":"form","step":"s","form":{}}"#,
      #"{"rule":"form","step":"s","form":{"a":"1","b":"2"}}"#,
      #"{"rule":"form","step":"s","form":{"a":["1","2"]}}"#,
      #"{"rule":"form","step":"s","form":{"a":["2","1"]}}"#,
      #"{"rule":"me","step":"s","class":"prepare","path":{"id":"1"}}"#,
      #"{"rule":"me","step":"s","class":"prepare","path":{"id":"2"}}"#,
      #"{"rule":"me","step":"s","class":"prepare","path":{"id":"1"},"query":{"q":"1"}}"#,
      #"{"rule":"me","step":"s","class":"prepare","path":{"id":"1"},"headers":{"x-version":"1"}}"#,
      #"{"rule":"chunk","step":"s","media":{"handle":"m-1"}}"#,
      #"{"rule":"chunk","step":"s","media":{"handle":"m-3"}}"#,
      #"{"rule":"chunk","step":"s","media":{"handle":"m-1","range":[0,5]}}"#,
      #"{"rule":"chunk","step":"s","media":{"handle":"m-1","range":[0,6]}}"#,
      #"{"rule":"upload","step":"s","multipart":[{"name":"f","text":"m-1"}]}"#,
      #"{"rule":"upload","step":"s","multipart":[{"name":"f","media":"m-1"}]}"#,
      #"{"rule":"upload","step":"s","multipart":[{"name":"f","media":"m-1","filename":"x"}]}"#,
    ]
    var digests: Set<String> = []
    for params in all { digests.insert(try await digest(params, fixture)) }
    #expect(digests.count == all.count)
  }
}
