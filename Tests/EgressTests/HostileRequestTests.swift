import Egress
import JSONText
import Testing

/// Requests that a plugin must never get through: each is refused before the journal, and no byte leaves.
@Suite struct HostileRequestTests {
  struct Attack: Sendable, CustomTestStringConvertible {
    let params: String
    let kind: EgressError.Kind
    let method: String

    init(_ kind: EgressError.Kind, _ params: String, method: String = "post/publish") {
      self.params = params
      self.kind = kind
      self.method = method
    }

    var testDescription: String { params }
  }

  static let attacks: [Attack] = pathAttacks + headerAttacks + slotAttacks + shapeAttacks + ruleAttacks

  private static let pathAttacks =
    [
      "", ".", "..", "a/b", "/", "../admin", "a\\\\b", "%2e%2e", "%2f", "a%00", "\\u0000", "\\n", "\\r\\nX: y",
      "\\u007f",
      String(repeating: "a", count: 513),
    ].map { Attack(.invalidParams, #"{"rule":"me","path":{"id":"\#($0)"}}"#) } + [
      Attack(.invalidParams, #"{"rule":"me"}"#),
      Attack(.invalidParams, #"{"rule":"me","path":{"id":["1"]}}"#),
      Attack(.invalidParams, #"{"rule":"me","path":{"id":1.5}}"#),
      Attack(.invalidParams, #"{"rule":"me","path":"/1"}"#),
      Attack(.egressDenied, #"{"rule":"me","path":{"id":"1","extra":"2"}}"#),
      Attack(.egressDenied, #"{"rule":"me","path":{"id":"1"},"query":{"access_token":"mine"}}"#),
      Attack(.egressDenied, #"{"rule":"me","path":{"id":"1"},"query":{"q&x":"1"}}"#),
      Attack(.egressDenied, #"{"rule":"me","path":{"id":"1"},"query":{"Q":"1"}}"#),
      Attack(.invalidParams, #"{"rule":"me","path":{"id":"1"},"query":{"q":{"a":1}}}"#),
      Attack(.egressDenied, #"{"rule":"hook","step":"s","path":{"id":"1"},"json":{}}"#),
      Attack(.egressDenied, #"{"rule":"hook","step":"s","query":{"to":"elsewhere"},"json":{}}"#),
    ]

  private static let headerAttacks =
    [
      "Authorization", "authorization", "AUTHORIZATION", "Cookie", "Host", "Content-Length", "Transfer-Encoding",
      "Connection", "Upgrade", "Proxy-Authorization", "Proxy-Connection", "X-Forwarded-For", "X-Forwarded-Host",
      "Forwarded", "Expect", "TE", "Trailer", "Keep-Alive", "User-Agent", "Via", "X-Api-Key", "Content-Type",
      "webhook-signature", "x-version ", " x-version", "x-ver sion", "x-version:", "x-version\\r\\nhost", "",
    ].map { Attack(.egressDenied, #"{"rule":"me","path":{"id":"1"},"headers":{"\#($0)":"v"}}"#) } + [
      Attack(.invalidParams, #"{"rule":"me","path":{"id":"1"},"headers":{"x-version":"a\r\nhost: evil"}}"#),
      Attack(.invalidParams, #"{"rule":"me","path":{"id":"1"},"headers":{"x-version":"a\nb"}}"#),
      Attack(.invalidParams, #"{"rule":"me","path":{"id":"1"},"headers":{"x-version":"a\u0000b"}}"#),
      Attack(.invalidParams, #"{"rule":"me","path":{"id":"1"},"headers":{"x-version":"é"}}"#),
      Attack(.invalidParams, #"{"rule":"me","path":{"id":"1"},"headers":{"x-version":"1","X-Version":"2"}}"#),
      Attack(.invalidParams, #"{"rule":"me","path":{"id":"1"},"headers":{"x-version":["1"]}}"#),
      Attack(
        .invalidParams,
        #"{"rule":"me","path":{"id":"1"},"headers":{"x-version":"\#(String(repeating: "a", count: 9_000))"}}"#
      ),
    ]

  private static let slotAttacks = [
    Attack(.egressDenied, #"{"rule":"form","step":"s","form":{"token":"mine"}}"#),
    Attack(.egressDenied, #"{"rule":"form","step":"s","form":{"a":"b"},"query":{"k":"mine"}}"#),
    Attack(.egressDenied, #"{"rule":"form","step":"s","form":{"a":"b"},"headers":{"idempotency-key":"mine"}}"#),
    Attack(.egressDenied, #"{"rule":"nested","step":"s","json":{"auth":{"key":"mine"}}}"#),
    Attack(.egressDenied, #"{"rule":"nested","step":"s","json":{"auth":{"\u006bey":"mine"}}}"#),
    Attack(.egressDenied, #"{"rule":"nested","step":"s","json":{"auth":{"key":null}}}"#),
    Attack(.egressDenied, #"{"rule":"nested","step":"s","json":{"auth":"mine"}}"#),
    Attack(.egressDenied, #"{"rule":"nested","step":"s","json":[]}"#),
    Attack(.egressDenied, #"{"rule":"nested","step":"s","json":null}"#),
  ]

  private static let shapeAttacks = [
    Attack(.invalidParams, "[]"),
    Attack(.invalidParams, "null"),
    Attack(.invalidParams, "{}"),
    Attack(.invalidParams, #"{"rule":7}"#),
    Attack(.invalidParams, #"{"rule":"create","json":{}}"#),
    Attack(.invalidParams, #"{"rule":"create","step":"","json":{}}"#),
    Attack(.invalidParams, #"{"rule":"create","step":"a b","json":{}}"#),
    Attack(.invalidParams, #"{"rule":"create","step":"a\nb","json":{}}"#),
    Attack(.invalidParams, #"{"rule":"create","step":"s","json":{},"text":"x"}"#),
    Attack(.invalidParams, #"{"rule":"create","step":"s","json":{},"url":"https://evil.example"}"#),
    Attack(.invalidParams, #"{"rule":"create","step":"s","json":{},"method":"DELETE"}"#),
    Attack(.invalidParams, #"{"rule":"create","step":"s","json":{},"timeoutMs":0}"#),
    Attack(.invalidParams, #"{"rule":"create","step":"s","json":{},"timeoutMs":99999999999999999999}"#),
    Attack(.egressDenied, #"{"rule":"create","step":"s"}"#),
    Attack(.egressDenied, #"{"rule":"create","step":"s","text":"x"}"#),
    Attack(.egressDenied, #"{"rule":"me","path":{"id":"1"},"json":{}}"#),
    Attack(.invalidParams, #"{"rule":"upload","step":"s","multipart":[]}"#),
    Attack(.invalidParams, #"{"rule":"upload","step":"s","multipart":[{"name":"a"}]}"#),
    Attack(.invalidParams, #"{"rule":"upload","step":"s","multipart":[{"name":"a","text":"b","media":"m-1"}]}"#),
    Attack(.invalidParams, #"{"rule":"upload","step":"s","multipart":[{"name":"a\"; x=\"","text":"b"}]}"#),
    Attack(.invalidParams, #"{"rule":"upload","step":"s","multipart":[{"name":"a","text":"b","type":"x\r\ny"}]}"#),
    Attack(.invalidParams, #"{"rule":"upload","step":"s","multipart":[{"name":"a","media":"m-9"}]}"#),
    Attack(.invalidParams, #"{"rule":"chunk","step":"s","media":{"handle":"m-9"}}"#),
    Attack(.invalidParams, #"{"rule":"chunk","step":"s","media":{"handle":"m-9","range":[5,4]}}"#),
    Attack(.invalidParams, #"{"rule":"chunk","step":"s","media":{"handle":"m-9","range":[-1,5]}}"#),
    Attack(.invalidParams, #"{"rule":"chunk","step":"s","media":{"handle":"m-9","range":[0,9223372036854775807]}}"#),
    Attack(.invalidParams, #"{"rule":"chunk","step":"s","media":{"handle":"m-9","range":[0,1,2]}}"#),
    Attack(.invalidParams, #"{"rule":"chunk","step":"s","media":{"path":"/etc/passwd"}}"#),
  ]

  private static let ruleAttacks = [
    Attack(.capabilityDenied, #"{"rule":"nothing","step":"s","json":{}}"#),
    Attack(.capabilityDenied, #"{"rule":"create","step":"s","json":{}}"#, method: "post/reconcile"),
    Attack(.capabilityDenied, #"{"rule":"create","step":"s","json":{}}"#, method: "account/identify"),
    Attack(.capabilityDenied, #"{"rule":"me","path":{"id":"1"}}"#, method: "post/render"),
    Attack(.capabilityDenied, #"{"rule":"me","path":{"id":"1"}}"#, method: "post/validate"),
    Attack(.egressDenied, #"{"rule":"create","step":"s","class":"read","json":{}}"#),
    Attack(.egressDenied, #"{"rule":"create","step":"s","class":"prepare","json":{}}"#),
    Attack(.egressDenied, #"{"rule":"nested","step":"s","class":"read","json":{}}"#),
    Attack(.egressDenied, #"{"rule":"me","path":{"id":"1"},"class":"billed"}"#),
    Attack(.invalidParams, #"{"rule":"create","step":"s","class":"harmless","json":{}}"#),
  ]

  @Test func noAttackGetsThrough() async throws {
    let fixture = try Fixture()
    for attack in Self.attacks {
      let journal = MemoryJournal()
      let answer = try await fixture.perform(attack.params, method: attack.method, journal: journal)
      #expect(answer.failure?.kind == attack.kind, "\(attack.params) \(answer.reply)")
      #expect(await journal.intents.isEmpty, "\(attack.params)")
      #expect(answer.failure?.message.contains(FixedSecrets.token) == false)
    }
    #expect(Self.attacks.count >= 60)
    #expect(fixture.server.requests.isEmpty)
    #expect(fixture.egress.openDeliveries == 0)
  }

  @Test func pathValuesAndQueriesAreEncoded() async throws {
    let fixture = try Fixture()
    let params = #"{"rule":"me","path":{"id":"urn:li:1?x#é ü"},"query":{"q":"a&b=c d","tag":["1",2,true]}}"#
    #expect(try await fixture.perform(params).failure == nil)
    #expect(
      fixture.server.requests.first?.target
        == "/me/urn%3Ali%3A1%3Fx%23%C3%A9%20%C3%BC?q=a%26b%3Dc%20d&tag=1&tag=2&tag=true"
    )
  }

  @Test func theEndpointKeepsItsQuery() async throws {
    let fixture = try Fixture()
    #expect(try await fixture.perform(#"{"rule":"hook","step":"s","json":{}}"#).failure == nil)
    #expect(fixture.server.requests.first?.target == "/hook?from=me")
  }
}
