import FoundationEssentials
import HTTPClient
import JSONText
import PluginManifest
import Testing

@testable import Egress

/// The corpus against the gate: 0 escapes.
@Suite struct EgressCorpusTests {
  private static let rules = #"""
    [
      {"rule": "read", "class": "read", "method": "GET", "origin": "https://api.example.com", "path": "/read/{id}",
       "query": ["q"], "headers": ["x-ok"], "calls": ["post/publish"],
       "slots": {"header.authorization": {"secret": "token", "format": "Bearer {}"}, "query.key": {"secret": "other"}},
       "maxBody": 2000, "timeoutMs": 5000},
      {"rule": "follow", "class": "read", "method": "GET", "origin": "https://api.example.com", "path": "/follow/{id}",
       "calls": ["post/publish"], "redirect": {"follow": true, "to": ["https://cdn.example.org"]},
       "slots": {"header.authorization": {"secret": "token", "format": "Bearer {}"}}, "maxBody": 2000,
       "timeoutMs": 5000},
      {"rule": "form", "class": "read", "reason": "a test", "method": "POST", "origin": "https://api.example.com",
       "path": "/form", "calls": ["post/publish"], "body": "form", "slots": {"form.token": {"secret": "token"}},
       "maxBody": 2000, "timeoutMs": 5000},
      {"rule": "write", "class": "read", "reason": "a test", "method": "POST", "origin": "https://api.example.com",
       "path": "/write", "calls": ["post/publish"], "body": "json", "slots": {"json./auth/key": {"secret": "token"}},
       "capture": [{"pointer": "/u", "as": "upload", "kind": "url", "suffix": ["example.com"]}],
       "maxBody": 2000, "timeoutMs": 5000},
      {"rule": "bot", "class": "read", "reason": "a test", "method": "POST", "origin": "https://api.example.com",
       "path": "/bot{token}/send", "calls": ["post/publish"], "body": "json", "slots": {"path.token": {"secret": "token"}},
       "maxBody": 2000, "timeoutMs": 5000},
      {"rule": "captured", "class": "read", "reason": "a test", "method": "POST",
       "origin": {"capture": "upload", "suffix": ["example.com"]}, "calls": ["post/publish"], "body": "json",
       "maxBody": 2000, "timeoutMs": 5000}
    ]
    """#

  @Test func theCorpusIsLargeAndVaried() {
    #expect(EgressCorpus.all.count >= 300)
    #expect(Set(EgressCorpus.all.map(\.description)).count == EgressCorpus.all.count)
  }

  @Test func nothingEscapes() async throws {
    let fixture = try RuleFixture(Self.rules)
    for attack in EgressCorpus.all {
      switch attack.way {
      case .address(let text): #expect(Self.objection(to: text) != nil, "\(attack)")
      case .resolution(let text):
        let address = try #require(IPAddress(text), "\(attack)")
        let url = try TargetURL("https://api.example.com/")
        #expect(!AddressPolicy().permits(address, port: 443, for: url), "\(attack)")
      case .request(let params):
        guard let json = try? RawJSON(text: params) else { continue }
        let answer = try await fixture.perform(json.text)
        #expect(answer.failure != nil, "\(attack)")
        #expect(fixture.server.requests.isEmpty, "\(attack)")
      case .answer(let bytes): try await Self.answer(bytes, attack)
      }
    }
  }

  /// A hostile answer leads to nothing but the server that gave it, on paths of the manifest.
  private static func answer(_ bytes: String, _ attack: EgressCorpus.Attack) async throws {
    let fixture = try RuleFixture(rules, stands: ["https://cdn.example.org"]) { request in
      request.target == "/follow/1" ? .raw([Array(bytes.utf8)]) : .answer(200, body: "{}")
    }
    let answer = try await fixture.perform(#"{"rule":"follow","path":{"id":"1"}}"#)
    for request in fixture.server.requests {
      #expect(request.target.hasPrefix("/follow/") && !request.target.dropFirst(8).contains("/"), "\(attack)")
    }
    if bytes.contains("Location: /follow/2\r\nLocation") { return }
    #expect(answer.failure != nil, "\(attack)")
  }

  /// What is wrong with an address before anything is resolved or connected.
  private static func objection(to text: String) -> String? {
    do throws(TargetURLError) {
      return AddressPolicy().objection(to: try TargetURL(text))
    } catch {
      return error.description
    }
  }

  /// A name server that gives a public address first and a private one to the one who connects.
  @Test func theAddressThatIsUsedIsTheOneThatIsJudged() async throws {
    // "localhost" stands for a name whose owner decides where it leads; it is the machine itself by now.
    let server = try LoopbackServer { _ in .answer(200, body: "{}") }
    let policy = try AddressPolicy(allow: "", overrides: "https://api.example.com=https://localhost:\(server.port)")
    let egress = Egress(client: try HTTPClient(), policy: policy)
    let answer = await egress.perform(
      try RawJSON(text: #"{"rule":"read","path":{"id":"1"}}"#),
      method: "post/publish",
      manifest: try RuleFixture.manifest(Self.rules),
      scope: EgressScope(site: 1, connection: 1, pluginID: "sample", requestKey: "k"),
      secrets: NamedSecrets(values: ["token": "t-12345678", "other": "o-12345678"]),
      journal: KeepingJournal(),
      media: NoMedia(),
      deadline: .now + .seconds(10)
    )
    #expect(answer.failure?.kind == .ssrfBlocked)
    #expect(server.requests.isEmpty)
  }

  /// A kept connection was judged for another request; a policy that has become stricter holds for it too.
  @Test func aKeptConnectionIsJudgedAgain() async throws {
    let server = try LoopbackServer { _ in .answer(200, body: "{}") }
    let client = try HTTPClient()
    func request(_ isAllowed: Bool) -> OutgoingRequest {
      OutgoingRequest(method: "GET", url: "http://127.0.0.1:\(server.port)/", addressPolicy: { _ in isAllowed })
    }
    guard case .response = await client.perform(request(true)) else {
      Issue.record("the first request got no answer")
      return
    }
    guard case .notSent(let refusal) = await client.perform(request(false)) else {
      Issue.record("the second request was sent")
      return
    }
    #expect(refusal.reason == .addressDenied)
    #expect(server.requests.count == 1)
  }
}
