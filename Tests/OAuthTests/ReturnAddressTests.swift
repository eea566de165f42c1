import OAuth
import Testing

/// Where browsers may go after a sign-in. Whatever is not plainly one of our pages or one of the site's list is refused.
@Suite struct ReturnAddressTests {
  private static let own = "https://rostrum.example/admin"
  private static let allowed = [
    "https://cms.example/settings/accounts", "http://localhost:3000/back", "https://b.example/",
  ]

  private func read(_ text: String, own: String = own) throws(ReturnAddressError) -> String {
    try ReturnAddress(text, own: own, allowed: Self.allowed).text
  }

  @Test(arguments: [
    ("/admin", "https://rostrum.example/admin"),
    ("/admin/accounts", "https://rostrum.example/admin/accounts"),
    ("/admin/accounts?tab=x&next=%2Fa", "https://rostrum.example/admin/accounts?tab=x&next=%2Fa"),
    ("https://rostrum.example/admin/accounts", "https://rostrum.example/admin/accounts"),
    ("https://ROSTRUM.example:443/admin/a", "https://rostrum.example/admin/a"),
    ("https://cms.example/settings/accounts", "https://cms.example/settings/accounts"),
    ("https://cms.example/settings/accounts?site=4", "https://cms.example/settings/accounts?site=4"),
    ("http://localhost:3000/back", "http://localhost:3000/back"),
    ("https://b.example/", "https://b.example/"),
    ("https://b.example", "https://b.example/"),
  ])
  func plainAddressesAreTaken(text: String, expected: String) throws {
    #expect(try read(text) == expected)
  }

  static let hostile = [
    "", " ", "/", "//", "///", "//evil.example", "//evil.example/admin", "///evil.example", "/\\evil.example",
    "\\\\evil.example", "\\/evil.example", "/\\/evil.example", "/admin\\..\\..\\evil", "/\tevil.example",
    "/\n/evil.example", "/\r\nlocation: https://evil.example", "/admin\u{0}", "/admin/\u{2028}x", "/ /evil.example",
    "/%09/evil.example", "/%5cevil.example", "/%5Cevil.example", "/%2f%2fevil.example", "/%2Fevil.example",
    "/admin/%2e%2e/%2e%2e/evil", "/admin/..", "/admin/../evil", "/admin/./x", "/admin/..;/evil", "/admin/%2e%2e;/evil",
    "/admin//evil.example", "/admin/%0d%0aset-cookie:a=b", "/admin/%00", "/admin?x=%0aevil", "/admin%252f..",
    "/adminevil", "/other", "/admin/api/sites", "/admin/api/", "/admin#frag", "/admin?a#b",
    "https://evil.example", "https://evil.example/admin", "http://rostrum.example/admin",
    "https://rostrum.example", "https://rostrum.example/", "https://rostrum.example/other",
    "https://rostrum.example:8443/admin", "https://rostrum.example.evil.example/admin",
    "https://rostrum.example@evil.example/admin", "https://evil.example#@rostrum.example/admin",
    "https://evil.example?@rostrum.example/admin", "https://evil.example\\@rostrum.example/admin",
    "https://user:pass@rostrum.example/admin", "https://rostrum.example%2eevil.example/admin",
    "https://rostrum.example./admin", "https:rostrum.example/admin", "https:/rostrum.example/admin",
    "https:///rostrum.example/admin", "HTTPS://rostrum.example/admin", "ftp://rostrum.example/admin",
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "vbscript:x",
    "file:///etc/passwd", "blob:https://rostrum.example/admin", "admin", "./admin", "../admin", "?next=x", "#x",
    "https://cms.example/settings", "https://cms.example/settings/accounts/", "https://cms.example/settings/accounts/x",
    "https://cms.example/settings/accounts/../../evil", "http://cms.example/settings/accounts",
    "https://cms.example:444/settings/accounts", "https://sub.cms.example/settings/accounts",
    "https://cms.example.evil.example/settings/accounts", "https://cms.example/settings/accounts#evil",
    "https://cms.example/settings/accounts?error=none", "https://cms.example/settings/accounts?a=b&success=true",
    "/admin?connectionId=5", "/admin?c%6fnnectionId=5", "/admin?reason", "/admin?x=1&choose=2", "/admin?signIn=1",
    "https://localhost:3000/back", "http://localhost:3001/back", "http://127.0.0.1:3000/back", "http://[::1]:3000/back",
    "https://xn--rostrum-example/admin", "https://rostrum。example/admin", "https://rostrum.examp\u{200B}le/admin",
    "https://ⓡostrum.example/admin", "https://2130706433/", "https://0x7f000001/", "https://rostrum.example/admin/é",
    "https://rostrum.example/admin/%", "https://rostrum.example/admin/%zz", "https://rostrum.example/admin/{x}",
    "https://rostrum.example/admin/<x>", "https://rostrum.example/admin/\"x", "https://b.example//",
    "/admin/" + String(repeating: "a", count: 1_000),
  ]

  @Test func thereAreEnough() { #expect(Set(Self.hostile).count >= 62) }

  @Test(arguments: hostile) func everythingElseIsRefused(text: String) {
    #expect(throws: ReturnAddressError.self) { try read(text) }
  }

  @Test func aHostWithoutAPathHasAllItsPages() throws {
    let own = "http://127.0.0.1:8080"
    #expect(try read("/", own: own) == "http://127.0.0.1:8080/")
    #expect(try read("/anything/at/all?x=1", own: own) == "http://127.0.0.1:8080/anything/at/all?x=1")
    #expect(throws: ReturnAddressError.self) { try read("/api/session", own: own) }
    #expect(throws: ReturnAddressError.self) { try read("//evil.example", own: own) }
    #expect(throws: ReturnAddressError.self) { try read("http://127.0.0.1:8081/", own: own) }
    #expect(throws: ReturnAddressError.self) { try read("@evil.example/", own: own) }
  }

  @Test func parametersAreAddedEncoded() throws {
    let plain = try ReturnAddress("/admin", own: Self.own, allowed: [])
    #expect(plain.adding([("error", "a&b=c"), ("reason", "d e")]).hasSuffix("/admin?error=a%26b%3Dc&reason=d%20e"))
    let queried = try ReturnAddress("/admin?x=1", own: Self.own, allowed: [])
    #expect(queried.adding([("success", "true")]).hasSuffix("/admin?x=1&success=true"))
  }

  @Test func entriesOfTheListHaveOneForm() throws {
    #expect(try ReturnAddress.entry("https://CMS.example:443/back") == "https://cms.example/back")
    #expect(try ReturnAddress.entry("http://127.0.0.1:3000") == "http://127.0.0.1:3000/")
    for text in [
      "http://cms.example/back", "https://cms.example/back?x", "/back", "https://u@cms.example/", "javascript:x", "*",
      "https://*.cms.example/", "https://cms.example/../back", "https://cms.example/#", "",
    ] {
      #expect(throws: ReturnAddressError.self, "\(text)") { try ReturnAddress.entry(text) }
    }
  }
}
