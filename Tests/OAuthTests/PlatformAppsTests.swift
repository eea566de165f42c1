import Cryptography
import OAuth
import PluginManifest
import Postgres
import TestSupport
import Testing
import Vault

/// Applications of sites and of the host, over a real database.
@Suite(.database) struct PlatformAppsTests {
  private struct Fixture {
    let pool: Pool
    let apps: PlatformApps
    let site: Int64
    let other: Int64
    let manifest: PluginManifest
    let declaration: OAuthDeclaration

    func create(
      _ name: String,
      secret: String? = "s",
      origin: String? = nil,
      isDefault: Bool? = nil
    ) async throws -> Int64 {
      try await apps.create(
        PlatformAppDraft(
          name: name,
          clientID: "id of \(name)",
          clientSecret: secret.map { Secret($0) },
          origin: origin,
          isDefault: isDefault
        ),
        platform: manifest.id,
        site: site,
        user: nil,
        also: { id in ["INSERT INTO audit_logs (action, subject) VALUES ('app.create', \("app:\(id)"))"] }
      )
    }

    func choose(_ id: Int64? = nil, origin: String? = nil, site: Int64? = nil) async throws -> PlatformApp {
      try await apps.choose(id, of: manifest, declaration, site: site ?? self.site, origin: origin)
    }
  }

  private func run(_ settings: [String: String] = [:], _ body: (Fixture) async throws -> Void) async throws {
    try await TestDatabase.current.withPool { pool in
      let keyring = try Keyring(Secret("1:\(Base64.encode([UInt8](repeating: 1, count: 32)))"))
      let vault = try await Vault(pool: pool, keyring: keyring)
      var sites: [Int64] = []
      for name in ["One", "Two"] {
        sites.append(try await pool.query("INSERT INTO sites (name) VALUES (\(name)) RETURNING id")[0].get(0))
      }
      let manifest = try Platforms.manifest(Platforms.xText)
      let declaration = try #require(manifest.oauth)
      try await body(
        Fixture(
          pool: pool,
          apps: PlatformApps(pool: pool, vault: vault) { name in settings[name].map { Secret($0) } },
          site: sites[0],
          other: sites[1],
          manifest: manifest,
          declaration: declaration
        )
      )
    }
  }

  @Test func theSitesOwnComesBeforeTheHosts() async throws {
    try await run(["ID": "host id", "SECRET": "host secret"]) { fixture in
      let host = try await fixture.choose()
      #expect(host.id == nil && host.clientID == "host id" && host.clientSecret?.revealText() == "host secret")
      let first = try await fixture.create("first")
      #expect(try await fixture.choose().id == first)
      let second = try await fixture.create("second", secret: "s2")
      #expect(try await fixture.choose().id == first)
      #expect(try await fixture.choose(second).clientSecret?.revealText() == "s2")
      let third = try await fixture.create("third", isDefault: true)
      #expect(try await fixture.choose().id == third)
      #expect(
        try await fixture.apps.list(platform: "sample", site: fixture.site).map(\.isDefault) == [true, false, false]
      )
      // Another site has none of them.
      #expect(try await fixture.choose(site: fixture.other).id == nil)
      await #expect(throws: PlatformAppError.notFound(first)) { try await fixture.choose(first, site: fixture.other) }
    }
  }

  @Test func eachServerHasItsOwn() async throws {
    try await run { fixture in
      let a = try await fixture.create("a", origin: "https://a.example")
      let b = try await fixture.create("b", origin: "https://b.example")
      #expect(try await fixture.choose(origin: "https://a.example").id == a)
      #expect(try await fixture.choose(origin: "https://b.example").id == b)
      await #expect(throws: PlatformAppError.notFound(a)) { try await fixture.choose(a, origin: "https://b.example") }
    }
  }

  @Test func whatIsMissingIsNamed() async throws {
    try await run { fixture in
      do {
        _ = try await fixture.choose()
        Issue.record("there is none")
      } catch let error as PlatformAppError {
        #expect("\(error)".contains("ID and SECRET"))
      }
    }
    try await run(["ID": "host id"]) { fixture in
      await #expect(throws: PlatformAppError.notConfigured("SECRET is not set in the host's environment")) {
        try await fixture.choose()
      }
    }
  }

  @Test func secretsLieSealedAndAreNotListed() async throws {
    try await run { fixture in
      let id = try await fixture.create("first", secret: "canary-secret")
      let text: String = try await fixture.pool.query("SELECT platform_apps::text FROM platform_apps")[0].get(0)
      #expect(!text.contains("canary"))
      let listed = try #require(try await fixture.apps.list(platform: "sample", site: fixture.site).first)
      #expect(listed.hasSecret && listed.clientSecret == nil)
      try await fixture.apps.update(
        id,
        name: "renamed",
        clientSecret: Secret("new"),
        isDefault: nil,
        platform: "sample",
        site: fixture.site,
        also: []
      )
      let app = try await fixture.choose(id)
      #expect(app.name == "renamed" && app.clientSecret?.revealText() == "new")
    }
  }

  @Test func namesAreTakenOnceAndRemovedOnesAreFree() async throws {
    try await run { fixture in
      let id = try await fixture.create("first")
      await #expect(throws: PlatformAppError.nameTaken("first")) { try await fixture.create("first") }
      try await fixture.apps.remove(id, platform: "sample", site: fixture.site, also: [])
      await #expect(throws: PlatformAppError.notFound(id)) { try await fixture.choose(id) }
      await #expect(throws: PlatformAppError.notFound(id)) {
        try await fixture.apps.remove(id, platform: "sample", site: fixture.site, also: [])
      }
      #expect(try await fixture.create("first") != id)
      let left: Int = try await fixture.pool.query(
        "SELECT count(*) FROM platform_apps WHERE deleted_at IS NOT NULL AND sealed_secret IS NOT NULL"
      )[0].get(0)
      #expect(left == 0)
    }
  }

  @Test func theRegisteredCallbackMustBeOurs() async throws {
    let declaration = try Platforms.declaration(
      Platforms.xText.replacing(#""secret": "SECRET""#, with: #""secret": "SECRET", "callback": "CALLBACK""#)
    )
    try await run(["CALLBACK": "https://old.example/cb"]) { fixture in
      do {
        try await fixture.apps.checkCallback(declaration, is: "https://new.example/cb")
        Issue.record("taken")
      } catch {
        #expect("\(error)".contains("CALLBACK is “https://old.example/cb”"))
        #expect("\(error)".contains("https://new.example/cb"))
      }
      try await fixture.apps.checkCallback(declaration, is: "https://old.example/cb")
    }
    try await run { fixture in try await fixture.apps.checkCallback(declaration, is: "https://new.example/cb") }
  }
}
