import PluginManifest
import Testing

/// Slots, signers, captures, redirects and streams of a rule: what is read, and what is refused with its place.
@Suite struct RuleFormatTests {
  static let rules = #"""
    {"rule": "start", "class": "prepare", "method": "POST", "origin": "https://api.example.com", "path": "/bot{bot}/start",
     "calls": ["post/publish"], "body": "json", "auth": "required",
     "slots": {"path.bot": {"secret": "token"}, "header.authorization": {"basic": {"user": "user", "password": "token"}},
               "query.proof": {"hmacSha256": {"key": "key", "message": "token"}},
               "json./assertion": {"jwt": {"algorithm": "RS256", "key": "key", "keyForm": "pem", "lifetimeSeconds": 60,
                                           "keyId": {"secret": "user"}, "unique": true,
                                           "claims": {"aud": "https://aud.example", "iss": {"secret": "user"}}}}},
     "capture": [{"pointer": "/upload_url", "as": "upload", "kind": "url", "suffix": ["upload.example.com"]},
                 {"each": "/data/*", "pointer": "/access_token", "as": "page:{id}", "kind": "secret"}],
     "maxBody": 1000, "timeoutMs": 1000},
    {"rule": "send", "class": "prepare", "method": "PUT", "origin": {"capture": "upload", "suffix": ["upload.example.com"]},
     "calls": ["post/publish"], "body": "media", "slots": {"header.x-page": {"capture": "page"}},
     "maxBody": 1000, "timeoutMs": 1000},
    {"rule": "read", "class": "read", "method": "GET", "origin": "https://api.example.com", "path": "/read",
     "calls": ["post/publish"], "redirect": {"follow": true, "to": ["https://cdn.example.org"]}, "maxBody": 1000,
     "timeoutMs": 1000},
    {"rule": "token", "class": "read", "reason": "a token", "method": "POST", "origin": "https://api.example.com",
     "path": "/token", "calls": ["account/*"], "body": "form", "tokenEndpoint": {"returns": ["/expires_in"]},
     "signer": {"kind": "dpop", "key": "key", "token": "token"}, "maxBody": 1000, "timeoutMs": 1000},
    {"rule": "store", "class": "prepare", "method": "PUT", "origin": "https://bucket.example.com", "path": "/{key}",
     "calls": ["post/publish"], "body": "media",
     "signer": {"kind": "sigV4", "accessKey": "user", "secretKey": "key", "region": "eu-west-1", "service": "s3"},
     "maxBody": 1000, "timeoutMs": 1000},
    {"rule": "events", "class": "read", "method": "GET", "origin": "https://api.example.com", "path": "/events",
     "calls": ["post/publish"], "stream": {"parse": "sse", "usage": "/usage"}, "maxBody": 33554432, "timeoutMs": 1000}
    """#

  private static func parse(_ rules: String) throws(ManifestError) -> PluginManifest {
    try PluginManifest.parse(Array(document(rules).utf8))
  }

  /// The sample with these rules beside its own, and what they need.
  static func document(_ rules: String) -> String {
    ManifestSample.text
      .replacing(
        #""token": {"label": "Token", "source": "entered"},"#,
        with: #"""
          "token": {"label": "Token", "source": "entered"}, "user": {"label": "User", "source": "entered"},
          "key": {"label": "Key", "source": "entered"},
          """#
      )
      .replacing(#""egress": ["#, with: #""egress": [\#(rules),"#)
  }

  @Test func everythingIsRead() throws {
    let manifest = try Self.parse(Self.rules)
    let start = try #require(manifest.rule("start"))
    #expect(start.secretNames == ["token", "user", "key"])
    #expect(
      Set(start.slots.map(\.place)) == [
        .path("bot"), .header("authorization"), .query("proof"), .json("/assertion"),
      ]
    )
    #expect(start.captures.map(\.name) == ["upload", "page"])
    #expect(start.captures[1].label == "id")
    #expect(start.captures[1].list == "/data")
    let send = try #require(manifest.rule("send"))
    #expect(send.origin == .capture("upload", suffixes: ["upload.example.com"]))
    #expect(send.neededCaptures == ["upload", "page"])
    #expect(manifest.rule("read")?.redirects == .follow(to: ["https://cdn.example.org"]))
    #expect(manifest.rule("read")?.authorization == EgressRule.Authorization.none)
    #expect(manifest.rule("token")?.returns == ["/expires_in"])
    #expect(manifest.rule("token")?.signer == .dpop(key: "key", token: "token"))
    #expect(manifest.rule("events")?.stream?.usage == "/usage")
  }

  struct Refusal: Sendable, CustomTestStringConvertible {
    let text: String
    let replacement: String
    let path: String

    init(_ text: String, _ replacement: String, _ path: String) {
      (self.text, self.replacement, self.path) = (text, replacement, path)
    }

    var testDescription: String { "\(path): \(replacement)" }
  }

  private static let refusals = [
    Refusal(#""path.bot""#, #""path.other""#, "path.other"),
    Refusal(#""auth": "required""#, #""auth": "none""#, "auth"),
    Refusal(#""auth": "required""#, #""auth": "maybe""#, "auth"),
    Refusal(#"{"secret": "token"}, "header"#, #"{"secret": "token", "basic": {}}, "header"#, "basic"),
    Refusal(#"{"secret": "token"}, "header"#, #"{}, "header"#, "secret"),
    Refusal(#""message": "token""#, #""message": "text""#, "hmacSha256.message"),
    Refusal(#""keyForm": "pem""#, #""keyForm": "hex""#, "jwt.keyForm"),
    Refusal(#""algorithm": "RS256""#, #""algorithm": "none""#, "jwt.algorithm"),
    Refusal(#""algorithm": "RS256""#, #""algorithm": "HS256""#, "jwt.keyForm"),
    Refusal(#""lifetimeSeconds": 60"#, #""lifetimeSeconds": 86400"#, "jwt.lifetimeSeconds"),
    Refusal(#""aud": "https://aud.example""#, #""exp": "9999999999""#, "claims.exp"),
    Refusal(#""suffix": ["upload.example.com"]}"#, #""suffix": ["com"]}"#, "suffix[0]"),
    Refusal(#""suffix": ["upload.example.com"]}"#, #""suffix": []}"#, "suffix"),
    Refusal(#""suffix": ["upload.example.com"]}"#, #""suffix": ["10.0.0.1"]}"#, "suffix[0]"),
    Refusal(#""suffix": ["upload.example.com"]}"#, #""suffix": ["a.example.com:8443"]}"#, "suffix[0]"),
    Refusal(#""pointer": "/upload_url", "as""#, #""as""#, "capture[0].pointer"),
    Refusal(#""pointer": "/upload_url", "as""#, #""pointer": "upload_url", "as""#, "capture[0].pointer"),
    Refusal(#""as": "page:{id}""#, #""as": "page:id""#, "capture[1].as"),
    Refusal(#""each": "/data/*", "#, "", "capture[1].as"),
    Refusal(#""each": "/data/*""#, #""each": "/data""#, "capture[1].each"),
    Refusal(#""kind": "secret"}]"#, #""kind": "secret", "suffix": ["a.example"]}]"#, "capture[1].suffix"),
    Refusal(#"{"capture": "upload", "suffix""#, #"{"capture": "missing", "suffix""#, "origin.capture"),
    Refusal(#"{"capture": "upload", "suffix""#, #"{"capture": "page", "suffix""#, "origin.capture"),
    Refusal(#"{"capture": "page"}"#, #"{"capture": "upload"}"#, "slots"),
    Refusal(#""method": "PUT", "origin": {"#, #""path": "/x", "method": "PUT", "origin": {"#, "path"),
    Refusal(#""redirect": {"follow": true,"#, #""redirect": {"#, "redirect.follow"),
    Refusal(#"["https://cdn.example.org"]"#, #"["http://cdn.example.org"]"#, "redirect.to[0]"),
    Refusal(
      #""class": "prepare", "method": "POST""#,
      #""redirect": {"follow": true}, "class": "prepare", "method": "POST""#,
      "redirect"
    ),
    Refusal(#""returns": ["/expires_in"]"#, #""returns": ["/data/0/token"]"#, "tokenEndpoint.returns[0]"),
    Refusal(#""kind": "dpop", "key": "key""#, #""kind": "dpop""#, "signer.key"),
    Refusal(#""kind": "dpop""#, #""kind": "md5""#, "signer.kind"),
    Refusal(#""region": "eu-west-1""#, #""region": "EU west""#, "signer.region"),
    Refusal(#""parse": "sse""#, #""parse": "json""#, "stream.parse"),
    Refusal(#""maxBody": 33554432"#, #""maxBody": 33554433"#, "maxBody"),
    Refusal(#""path": "/read","#, #""path": "/read", "query": ["access_token"],"#, "query[0]"),
    Refusal(#""path": "/read","#, #""path": "/read", "headers": ["x-api-key"],"#, "headers[0]"),
    Refusal(#""path": "/read","#, #""path": "/read", "headers": ["x-http-method-override"],"#, "headers[0]"),
  ]

  private static let commit = #"""
    {"rule": "publish", "class": "commit", "method": "POST", "origin": "https://api.example.com", "path": "/posts",
     "calls": ["post/publish"], "body": "json", "remoteId": "/id", "remoteUrl": "https://example.com/p/{id}?a=b",
     "maxBody": 1000, "timeoutMs": 1000}
    """#

  @Test func thePageOfAnObjectIsMadeFromItsId() throws {
    let rule = try #require(try Self.parse(Self.commit).rule("publish"))
    #expect(rule.remoteURL(of: "42") == "https://example.com/p/42?a=b")
    #expect(rule.remoteURL(of: "a/b?\u{E9}#.~_-") == "https://example.com/p/a%2Fb%3F%C3%A9%23.~_-?a=b")
  }

  @Test(arguments: [
    "http://example.com/{id}", "https://example.com/", "https://{id}.example.com/", "https://example.com{id}",
    "https://example.com/{id}/{id}", "https://example.com/{name}/{id}", "https://a@example.com/{id}",
    "https://example.com/ {id}", "https://10.0.0.1/{id}",
  ])
  func aPageIsAnAddressWithOnePlaceForTheId(_ template: String) {
    let changed = Self.commit.replacing("https://example.com/p/{id}?a=b", with: template)
    do throws(ManifestError) {
      _ = try Self.parse(changed)
      Issue.record("taken")
    } catch {
      #expect(error.problems.contains { $0.path.hasSuffix("remoteUrl") }, "\(error.problems.map(\.description))")
    }
  }

  @Test(arguments: [(#""remoteId": "/id", "#, ""), (#""class": "commit""#, #""class": "prepare""#)])
  func onlyWhatMakesSomethingHasAPage(_ text: String, _ replacement: String) {
    do throws(ManifestError) {
      _ = try Self.parse(Self.commit.replacing(text, with: replacement))
      Issue.record("taken")
    } catch {
      #expect(error.problems.contains { $0.path.hasSuffix("remoteUrl") }, "\(error.problems.map(\.description))")
    }
  }

  @Test(arguments: refusals)
  func contradictionsAreNamed(_ refusal: Refusal) {
    let changed = Self.rules.replacing(refusal.text, with: refusal.replacement, maxReplacements: 1)
    #expect(changed != Self.rules, "the change does not touch the rules")
    do throws(ManifestError) {
      _ = try Self.parse(changed)
      Issue.record("taken")
    } catch {
      #expect(error.problems.contains { $0.path.hasSuffix(refusal.path) }, "\(error.problems.map(\.description))")
    }
  }

  @Test(arguments: [
    ("/a/1", true), ("/a/1/b", false), ("/a/", false), ("/a", false), ("/x/1", false), ("/a/%2f", false),
    ("/a/%2e", true), ("/a/1%252f", false), ("//a/1", false),
  ])
  func aTemplateKnowsItsPaths(_ path: String, _ matches: Bool) throws {
    #expect(try PathTemplate("/a/{id}").matches(path) == matches)
  }

  @Test func holesMayShareASegment() throws {
    let template = try PathTemplate("/{a}-{b}.json")
    #expect(template.matches("/x-y-z.json"))
    #expect(!template.matches("/x-.json"))
    #expect(!template.matches("/xy.json"))
  }
}
