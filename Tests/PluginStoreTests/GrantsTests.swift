import JSONDocument
import PluginStore
import Testing

@Suite struct GrantsTests {
  struct Step: Sendable, CustomTestStringConvertible {
    let name: String
    let change: @Sendable (inout Workshop.Plan) -> Void
    /// A part of what a person has to agree to; nil when there is nothing.
    let asks: String?

    init(_ name: String, asks: String?, _ change: @escaping @Sendable (inout Workshop.Plan) -> Void) {
      self.name = name
      self.asks = asks
      self.change = change
    }

    var testDescription: String { name }
  }

  static let steps: [Step] = [
    Step("nothing but the version", asks: nil) { _ in },
    Step("another host", asks: "https://evil.example.org") { $0.host = "https://evil.example.org" },
    Step("another port", asks: "https://api.example.org:8443") { $0.host = "https://api.example.org:8443" },
    Step("another path", asks: "/admin") { $0.path = "/admin" },
    Step("one method more", asks: "DELETE requests") { $0.methods = ["POST", "DELETE"] },
    Step("one caller more", asks: "post/delete") { $0.calls = ["post/publish", "post/delete"] },
    Step("the secret in another place", asks: "query.token") { $0.place = "query.token" },
    Step("more memory", asks: "up to 128 MiB") { $0.memory = 128 },
    Step("less memory", asks: nil) { $0.memory = 64 },
    Step("more processes", asks: "up to 65 processes") { $0.pids = 65 },
    Step("fewer processes", asks: nil) { $0.pids = 2 },
    Step("another interpreter", asks: "/bin/bash") { $0.interpreter = "/bin/bash" },
    Step("a folder to read", asks: "/usr/lib/things") { $0.readPaths = ["/usr/lib/things"] },
    Step("another token host", asks: "https://tokens.example.net/token") {
      $0.tokenHost = "https://tokens.example.net"
    },
    Step("another scope", asks: "ask people for “admin”") { $0.scope = "admin" },
    Step("whole posts", asks: "content of posts") { $0.input = ["content"] },
  ]

  @Test(arguments: steps) func aNewVersionAsksForWhatIsNew(_ step: Step) async throws {
    try await Workshop.run { workshop in
      let old = try Bundle.verify(try workshop.bundle())
      let new = try Bundle.verify(
        try workshop.bundle { plan in
          plan.version = "1.1.0"
          step.change(&plan)
        }
      )
      let approval = Approval.needed(for: new, after: old)
      guard let asks = step.asks else {
        #expect(approval == nil)
        return
      }
      let lines = try #require(approval).lines(publisher: new.publisher)
      #expect(lines.contains { $0.contains(asks) }, "\(lines)")
      #expect(approval?.isNew == false)
      // What was granted before is not asked for again.
      #expect(try #require(approval).grants.count < new.grants.all.count)
    }
  }

  @Test func anotherKeyNeedsApprovalEvenForLess() async throws {
    try await Workshop.run { workshop in
      let old = try Bundle.verify(try workshop.bundle())
      let new = try Bundle.verify(
        try workshop.bundle(key: try PublisherKey.make()) {
          $0.version = "1.1.0"
          $0.memory = 64
        }
      )
      let approval = try #require(Approval.needed(for: new, after: old))
      #expect(approval.grants.isEmpty)
      #expect(approval.formerPublisher == workshop.key.id)
      #expect(approval.lines(publisher: new.publisher).first?.contains(new.publisher) == true)
    }
  }

  @Test func aNewPluginAsksForEverything() async throws {
    try await Workshop.run { workshop in
      let new = try Bundle.verify(try workshop.bundle())
      let approval = try #require(Approval.needed(for: new, after: nil))
      #expect(approval.isNew)
      #expect(approval.grants == new.grants.all)
      #expect(new.grants.hosts == ["api.example.org:443"])
      #expect(!new.grants.usesAccountAddresses)
    }
  }

  @Test func capturesRedirectsAndAddressesOfAnswersAreGrantsToo() throws {
    let rule: JSONValue = [
      "rule": "upload", "method": "POST", "path": "/files", "calls": ["post/publish"],
      "origin": ["capture": "place", "suffix": ["upload.example.net"]],
      "redirect": ["follow": true, "to": ["https://cdn.example.net:8443"]],
      "capture": [["pointer": "/token", "as": "page", "kind": "secret"]],
    ]
    let grants = Grants(["egress": [rule], "limits": [:]])
    #expect(grants.hosts == ["*.upload.example.net:443", "cdn.example.net:8443"])
    #expect(!grants.usesAccountAddresses)
    for words in ["addresses below upload.example.net", "to https://cdn.example.net:8443", "use “capture”"] {
      #expect(grants.all.contains { $0.words.contains(words) }, "\(words)")
    }
    let open = Grants(["egress": [["origin": "account.origin", "method": "GET", "calls": ["account/*"]]]])
    #expect(open.usesAccountAddresses)
    #expect(open.hosts.isEmpty)
  }

  /// A member of a rule that this list does not know yet counts as asking for more.
  @Test func unknownMembersOfARuleAreGrants() {
    let plain: [String: JSONValue] = ["origin": "https://a.example", "method": "GET", "calls": ["account/*"]]
    var more = plain
    more["teleport"] = true
    let (old, new) = (Grants(["egress": [.object(plain)]]), Grants(["egress": [.object(more)]]))
    #expect(new.beyond(old).count == 1)
    #expect(old.beyond(new).isEmpty)
  }
}
