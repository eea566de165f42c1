import Egress
import Testing

@Suite struct AddressPolicyTests {
  @Test(arguments: [
    "", "example.com", "ftp://example.com", "https:/example.com", "https://", "https:///x", "HTTPS://example.com",
    "https://user@example.com", "https://user:pw@example.com", "https://example.com#x",
    "https://example.com\\@evil.com",
    "https://exa mple.com", "https://example.com:", "https://example.com:0", "https://example.com:65536",
    "https://example.com:080", "https://example.com:1:2", "https://example.com.", "https://.example.com",
    "https://-a.com", "https://a-.com", "https://a..com", "https://ex%61mple.com", "https://exämple.com",
    "https://2130706433", "https://0x7f000001", "https://127.1", "https://0177.0.0.1", "https://127.0.0.01",
    "https://1.2.3.4.5", "https://a.0x1", "https://a.1", "https://[::1", "https://[::1]x", "https://[127.0.0.1]",
    "https://[fe80::1%25eth0]", "https://[::1]:", "https://a_b.com", "https://example.com/../x",
    "https://example.com/%2e%2E/x",
    "https://example.com/%", "https://example.com/%2", "https://example.com/\n", "https://example.com/\"",
    "//example.com",
  ])
  func strangeAddressesAreNoAddresses(_ text: String) {
    #expect(throws: TargetURLError.self) { try TargetURL(text) }
  }

  @Test func plainAddressesAreRead() throws {
    let url = try TargetURL("https://Example.COM:8443/a/b?c=%20d")
    #expect(url.host == "example.com")
    #expect(url.port == 8443)
    #expect(url.path == "/a/b")
    #expect(url.query == "c=%20d")
    #expect(url.origin == "https://example.com:8443")
    #expect(url.description == "https://example.com:8443/a/b?c=%20d")
    #expect(try TargetURL("https://example.com?x").description == "https://example.com/?x")
    #expect(try TargetURL("https://[2001:db8::1]:444/").description == "https://[2001:db8::1]:444/")
  }

  @Test(arguments: [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.255",
    "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::1", "2002:7f00:1::",
    "2001::1", "fc00::1", "fdff::1", "fe80::1", "ff02::1",
  ])
  func reservedAddressesAreRefused(_ text: String) throws {
    let address = try #require(IPAddress(text))
    let url = try TargetURL("https://example.com")
    // A mapped address is the IPv4 address it means; that one is public.
    let isPublic = text == "::ffff:8.8.8.8"
    #expect(AddressPolicy().permits(address, port: 443, for: url) == isPublic)
  }

  @Test(arguments: [
    "1.1.1.1", "8.8.8.8", "100.128.0.1", "172.32.0.1", "192.0.1.1", "223.255.255.255", "2606:4700::1111",
  ])
  func publicAddressesArePermittedOverHTTPS(_ text: String) throws {
    let address = try #require(IPAddress(text))
    #expect(AddressPolicy().permits(address, port: 443, for: try TargetURL("https://example.com")))
    #expect(!AddressPolicy().permits(address, port: 80, for: try TargetURL("http://example.com")))
  }

  @Test func theAllowListOpensExactlyWhatItNames() throws {
    let policy = try AddressPolicy(
      allow: "127.0.0.1:4455, 10.1.0.0/16, [fd00::5]:9000, nas.lan:8080, 192.168.0.0/24:443",
      overrides: ""
    )
    let http = try TargetURL("http://nas.lan:8080")
    let other = try TargetURL("http://other.lan:8080")
    #expect(policy.permits(try #require(IPAddress("127.0.0.1")), port: 4455, for: other))
    #expect(policy.permits(try #require(IPAddress("::ffff:127.0.0.1")), port: 4455, for: other))
    #expect(!policy.permits(try #require(IPAddress("127.0.0.1")), port: 4456, for: other))
    #expect(!policy.permits(try #require(IPAddress("127.0.0.2")), port: 4455, for: other))
    #expect(policy.permits(try #require(IPAddress("10.1.255.1")), port: 1, for: other))
    #expect(!policy.permits(try #require(IPAddress("10.2.0.1")), port: 1, for: other))
    #expect(policy.permits(try #require(IPAddress("fd00::5")), port: 9000, for: other))
    #expect(policy.permits(try #require(IPAddress("192.168.7.7")), port: 8080, for: http))
    #expect(!policy.permits(try #require(IPAddress("192.168.7.7")), port: 8081, for: http))
    #expect(!policy.permits(try #require(IPAddress("192.168.7.7")), port: 8080, for: other))
    #expect(!policy.permits(try #require(IPAddress("192.168.0.7")), port: 80, for: other))
  }

  @Test func plainHTTPAndLiteralAddressesNeedTheOperator() throws {
    let strict = AddressPolicy()
    #expect(strict.objection(to: try TargetURL("https://example.com")) == nil)
    #expect(strict.objection(to: try TargetURL("http://example.com")) != nil)
    #expect(strict.objection(to: try TargetURL("https://8.8.8.8")) != nil)
    #expect(strict.objection(to: try TargetURL("https://[::1]")) != nil)
    let open = try AddressPolicy(allow: "127.0.0.1:80,lan.example:80", overrides: "")
    #expect(open.objection(to: try TargetURL("http://127.0.0.1")) == nil)
    #expect(open.objection(to: try TargetURL("http://lan.example")) == nil)
    #expect(open.objection(to: try TargetURL("http://lan.example:81")) != nil)
  }

  @Test func overridesMoveAnOriginAndKeepTheRest() throws {
    let policy = try AddressPolicy(allow: "", overrides: "https://api.x.example=http://127.0.0.1:4455")
    #expect(
      policy.resolved(try TargetURL("https://api.x.example/2/a?b=c")).description == "http://127.0.0.1:4455/2/a?b=c"
    )
    #expect(policy.resolved(try TargetURL("https://api.y.example/2")).description == "https://api.y.example/2")
  }

  @Test func anOverrideMayLeadIntoAFolder() throws {
    let policy = try AddressPolicy(
      allow: "",
      overrides: "https://a.example=http://127.0.0.1:4455/origin/a.example, https://b.example=http://127.0.0.1:4455/b,"
        + "https://c.example=http://127.0.0.1:4455"
    )
    let there = policy.resolved(try TargetURL("https://a.example/me?b=c"))
    #expect(there.description == "http://127.0.0.1:4455/origin/a.example/me?b=c")
    #expect(policy.original(of: there) { _ in true }.description == "https://a.example/me?b=c")
    let root = policy.resolved(try TargetURL("https://b.example"))
    #expect(root.description == "http://127.0.0.1:4455/b/")
    #expect(policy.original(of: root) { _ in true }.description == "https://b.example/")
    // A name that only begins like a folder is not in it.
    let beside = try TargetURL("http://127.0.0.1:4455/bb/me")
    #expect(policy.original(of: beside) { _ in true }.description == "https://c.example/bb/me")
    let other = try TargetURL("http://127.0.0.1:4456/b/me")
    #expect(policy.original(of: other) { _ in true } == other)
  }

  @Test(arguments: [
    "127.0.0.1:0", "127.0.0.1:70000", "127.0.0.1/33", "10.1.0.1/16", "10.0.0.0/x", "name", "na me:80", "[::1",
    "[::1]80",
    "user@name:80", "127.0.0.1:80:90x",
  ])
  func aBadAllowEntryIsNamed(_ entry: String) {
    let error = #expect(throws: AddressPolicyError.self) {
      try AddressPolicy(allow: "127.0.0.1:80,\(entry)", overrides: "")
    }
    #expect(error?.entry == entry)
    #expect(error?.description.contains("ROSTRUM_EGRESS_ALLOW") == true)
  }

  @Test(arguments: [
    "https://a.example", "https://a.example=", "https://a.example=http://b.example/x/",
    "https://a.example=http://b.example/", "https://a.example=http://b.example/x?y=z",
    "https://a.example=http://b.example//x", "https://a.example=http://b.example/../x",
    "https://a.example/=http://b.example", "https://a.example/x=http://b.example",
    "a.example=b.example", "https://a.example=http://b.example=c", "https://same.example=http://other.example",
  ])
  func aBadOverrideIsNamed(_ entry: String) {
    let error = #expect(throws: AddressPolicyError.self) {
      try AddressPolicy(allow: "", overrides: "https://same.example=http://b.example, \(entry)")
    }
    #expect(error?.entry == entry)
    #expect(error?.description.contains("ROSTRUM_ORIGIN_OVERRIDES") == true)
  }

  @Test func aNameThatResolvesToALocalAddressIsStoppedAtTheSocket() async throws {
    let other = try LoopbackServer { _ in .answer(200) }
    let fixture = try Fixture(endpoint: "https://localhost:\(other.port)/hook")
    let journal = MemoryJournal()
    let answer = try await fixture.perform(#"{"rule":"hook","step":"s","json":{}}"#, journal: journal)
    #expect(answer.failure?.kind == .ssrfBlocked)
    #expect(await journal.outcomes.map(\.outcome) == [.notSent])
    #expect(other.requests.isEmpty)
  }

  @Test func anOverrideWithoutAllowanceIsStoppedBeforeTheJournal() async throws {
    let fixture = try Fixture(allow: "127.0.0.1:1")
    let journal = MemoryJournal()
    let answer = try await fixture.perform(#"{"rule":"create","step":"s","json":{}}"#, journal: journal)
    #expect(answer.failure?.kind == .ssrfBlocked)
    #expect(await journal.intents.isEmpty)
    #expect(fixture.server.requests.isEmpty)
  }
}
