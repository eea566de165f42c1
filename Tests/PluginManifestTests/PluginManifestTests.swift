import FoundationEssentials
import JSONDocument
import PluginManifest
import Testing

@Suite struct PluginManifestTests {
  static let bundled = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "plugin-manifests")

  @Test func bundledManifestsAreValid() throws {
    let store = try ManifestStore.load(Self.bundled)
    #expect(store.problems.isEmpty, "\(store.problems)")
    #expect(!store.manifests.isEmpty)
  }

  @Test func readsEveryPartOfAManifest() throws {
    let manifest = try PluginManifest.parse(Array(ManifestSample.text.utf8))
    #expect(manifest.id == "sample")
    #expect(manifest.aliases == ["specimen"])
    #expect(manifest.kind == .platform)
    #expect(manifest.version.description == "1.2.3-beta.1")
    #expect(manifest.protocolRange.description == "1.0…1.4")
    #expect(manifest.protocolRange.contains(.init(major: 1, minor: 2)))
    #expect(!manifest.protocolRange.contains(.init(major: 1, minor: 5)))
    #expect(manifest.methods.first == "account/capabilities")
    #expect(manifest.answers("post/publish"))
    #expect(!manifest.answers("post/metrics"))
    #expect(manifest.inputs == [.content])
    #expect(manifest.secrets["token"] == SecretDeclaration.sample("Token", .entered, .text))
    #expect(manifest.secrets["signing"]?.format == .whsec)
    #expect(manifest.accountFields.map(\.name) == ["origin", "endpoint"])
    #expect(manifest.reconcile.absence == .certain)
    #expect(manifest.reconcile.settle == .milliseconds(20_000))
    #expect(manifest.rateLimits.first?.windows.map(\.scope) == [.perAccount, .perSite, .perApp])
    #expect(manifest.rateLimits.first?.windows.first?.length == .seconds(900))
    #expect(manifest.rateLimitHeaders.map(\.resetUnit) == [.unixSeconds, .seconds])
    #expect(manifest.rateLimitHeaders.map(\.scope) == [.perAccount, .perApp])
    #expect(manifest.retryAfter?.pointer == "/error/wait")
    #expect(manifest.retryAfter?.unit == .minutes)
    #expect(manifest.limits.start == .milliseconds(5_000))
  }

  @Test func readsWhatIsAboutPackagesAndPeople() throws {
    let manifest = try PluginManifest.parse(Array(ManifestSample.text.utf8))
    #expect(manifest.publisher?.hasPrefix(PluginManifest.publisherPrefix) == true)
    let artifact = try #require(manifest.artifacts.first)
    #expect(artifact.entry == "bin/plugin-sample")
    #expect(artifact.files["share/words"]?.hasSuffix("bb") == true)
    #expect(manifest.runtime == Runtime(interpreter: "/usr/bin/python3", readPaths: ["/usr/lib/python3"]))
    #expect(manifest.icon?.color == "#aabbcc")
    #expect(manifest.preview?.shape == .article)
    #expect(manifest.preview?.avatar == .square)
    #expect(manifest.links.status == "https://status.example.com")
    #expect(manifest.postAddresses.map(\.description).last == "{origin}/p/{id}")
    #expect(manifest.configuration.map(\.name).first == "SAMPLE_CLIENT_ID")
    #expect(manifest.configuration.first?.isSecret == true)
    #expect(manifest.hashtags == 1...3)
    #expect(manifest.apiVersion == APIVersion(name: "v7", sunset: "2028-02-29"))
    #expect(manifest.limits.cpu == 0.5)
    #expect(manifest.limits.pids == 16)
    #expect(manifest.limits.fds == 64)
    #expect(manifest.limits.idleStop == .seconds(30))
  }

  @Test func readsEveryPartOfARule() throws {
    let manifest = try PluginManifest.parse(Array(ManifestSample.text.utf8))
    let create = try #require(manifest.rule("create"))
    #expect(create.effectClass == .commit)
    #expect(create.method == "POST")
    #expect(create.origin == .fixed("https://api.example.com"))
    #expect(create.path?.parameters == ["owner"])
    #expect(create.idempotency?.slot == .header("idempotency-key"))
    #expect(create.idempotency?.window == .seconds(3_600))
    #expect(create.headers == ["x-version"])
    #expect(create.remoteID == .pointer("/data/id"))
    #expect(create.outcomes.count == 3)
    #expect(create.outcomes[0].condition == .equals(pointer: "/detail", "duplicate"))
    #expect(create.outcomes[1].condition == .exists(pointer: "/data/id", false))
    #expect(create.outcomes[2].condition == .notEquals(pointer: "/code", 0))
    #expect(create.slots.map(\.place) == [.header("authorization"), .json("/auth/key")])
    #expect(create.slots[0].prefix == "Bearer ")
    #expect(create.slots[1].value == .secret("token", .base64))
    #expect(create.maximumBody == 65_536)
    #expect(create.timeout == .seconds(30))
    let hook = try #require(manifest.rule("hook"))
    #expect(hook.origin == .accountEndpoint)
    #expect(hook.path == nil)
    #expect(hook.signer == .standardWebhooks(secret: "signing"))
    let upload = try #require(manifest.rule("upload"))
    #expect(upload.isRepeatable)
    #expect(upload.validFor == .seconds(60))
    #expect(upload.remoteID == .header("x-upload-id"))
    #expect(upload.origin == .accountOrigin)
    let search = try #require(manifest.rule("search"))
    #expect(search.isLookup)
    #expect(search.reason == "the platform searches by POST")
  }

  @Test func ruleSaysWhichMethodsMayCall() throws {
    let manifest = try PluginManifest.parse(Array(ManifestSample.text.utf8))
    let me = try #require(manifest.rule("me"))
    #expect(me.allows(callingMethod: "account/identify"))
    #expect(me.allows(callingMethod: "post/publish"))
    #expect(!me.allows(callingMethod: "post/render"))
    #expect(!me.allows(callingMethod: "post/validate"))
    #expect(!me.allows(callingMethod: "accountant/x"))
    let create = try #require(manifest.rule("create"))
    #expect(create.allows(callingMethod: "post/publish"))
    #expect(!create.allows(callingMethod: "post/reconcile"))
  }

  @Test func reportsEveryProblemAtOnce() {
    let error = ManifestSample.error { text in
      text.replacing(#""id": "sample""#, with: #""id": "Sample""#)
        .replacing(#""inFlight": 256"#, with: #""inFlight": 0"#)
        .replacing(#""name": "Sample""#, with: #""nmae": "Sample""#)
    }
    #expect(
      error.problems.map(\.description) == [
        "id: bad value, came \"Sample\", allowed lower-case letters, digits and inner hyphens, 1 to 40, a letter first",
        "name: missing, allowed text of 1 to 80 bytes",
        "limits.inFlight: bad value, came 0, allowed a whole number from 1 to 1024",
        "nmae: unknown field, allowed account, aliases, apiVersion, artifacts, configuration, description, egress, "
          + "executable, hashtags, icon, id, input, kind, license, limits, links, methods, name, oauth, postAddresses, preview, "
          + "protocol, publisher, rateLimitHeaders, rateLimits, reconcile, retryAfter, runtime, schema, secrets, version",
      ]
    )
  }

  @Test(arguments: ManifestSample.refusals)
  func refusesWhatDoesNotFit(_ refusal: ManifestSample.Refusal) {
    let error = ManifestSample.error { $0.replacing(refusal.text, with: refusal.replacement) }
    #expect(error.problems.contains { $0.path.hasSuffix(refusal.path) }, "\(refusal): \(error)")
  }

  @Test(arguments: ["", "[]", "{", #"{"id": 1, "id": 2}"#, "null", "\u{FEFF}{}"])
  func refusesWhatIsNoObject(_ text: String) {
    #expect(throws: ManifestError.self) { try PluginManifest.parse(Array(text.utf8)) }
  }
}

extension SecretDeclaration {
  /// The parsed form of one declared secret.
  static func sample(_ label: String, _ source: Source, _ format: Format) -> SecretDeclaration? {
    let text = ManifestSample.text.replacing(#""label": "Token""#, with: #""label": "\#(label)""#)
    let manifest = try? PluginManifest.parse(Array(text.utf8))
    guard let secret = manifest?.secrets["token"], secret.source == source, secret.format == format else { return nil }
    return secret
  }
}
