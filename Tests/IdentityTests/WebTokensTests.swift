import Cryptography
import FoundationEssentials
import JSONDocument
import Postgres
import Synchronization
import TestSupport
import Testing
import Vault

@testable import Identity

/// Tokens of other systems: who comes in, and above all who does not.
@Suite(.database) struct WebTokensTests {
  /// An issuer's server and clock under the control of a test.
  private final class Server: Sendable {
    struct State {
      var keys: [String: [UInt8]] = [:]
      var fetches = 0
      var isDown = false
      var now = ContinuousClock.now
    }

    let state = Mutex(State())

    func fetch() -> [UInt8]? {
      state.withLock { state in
        state.fetches += 1
        guard !state.isDown else { return nil }
        let keys = state.keys.sorted { $0.key < $1.key }.map { id, key -> JSONValue in
          [
            "kty": "OKP", "crv": "Ed25519", "kid": .string(id), "use": "sig",
            "x": .string(Base64.encodeURL(key)),
          ]
        }
        return Array(JSONValue.object(["keys": .array(keys)]).text().utf8)
      }
    }

    func add(_ id: String, _ key: [UInt8]) { state.withLock { $0.keys[id] = key } }
    func pass(_ time: Duration) { state.withLock { $0.now += time } }
    var fetches: Int { state.withLock { $0.fetches } }
  }

  private struct Desk {
    let pool: Pool
    let vault: Vault
    let tokens: WebTokens
    let server: Server
    let site: Int64
    let privateKey: Secret
    let publicKey: [UInt8]

    static let secret = Secret("a secret of at least thirty-two bytes")
    static let now = Date(timeIntervalSince1970: 1_800_000_000)

    func claims(_ changes: [String: JSONValue?] = [:]) -> JSONValue {
      var claims: [String: JSONValue] = [
        "iss": "https://cms.example", "aud": "rostrum", "sub": "user-7", "exp": 1_800_000_300, "name": "Ada",
        "role": "chief",
      ]
      for (name, value) in changes { claims[name] = value }
      return .object(claims)
    }

    func sign(
      _ claims: JSONValue,
      header: [String: JSONValue] = ["alg": "EdDSA", "kid": "k1"],
      _ signer: (([UInt8]) throws -> [UInt8])? = nil
    ) throws -> String {
      let parts = [JSONValue.object(header), claims].map { Base64.encodeURL(Array($0.text().utf8)) }
      let message = Array(parts.joined(separator: ".").utf8)
      let signature = try signer?(message) ?? Ed25519.sign(message, with: privateKey)
      return parts.joined(separator: ".") + "." + Base64.encodeURL(signature)
    }

    func hmac(_ key: Secret) -> ([UInt8]) -> [UInt8] { { HMACSHA256.authenticate($0, key: key) } }

    func principal(_ token: String) async throws -> Principal? { try await tokens.principal(for: token, at: Self.now) }

    func add(
      _ keys: TokenIssuer.Keys = .published(url: "https://cms.example/keys"),
      issuer: String = "https://cms.example",
      audience: String = "rostrum",
      site: Int64? = nil,
      roles: [String: Role] = ["chief": .editor, "writer": .author],
      defaultRole: Role? = nil
    ) async throws -> Int64 {
      try await tokens.issuers.create(
        TokenIssuer(
          site: site ?? self.site,
          name: "CMS",
          issuer: issuer,
          audience: audience,
          keys: keys,
          roles: roles,
          defaultRole: defaultRole
        )
      )
    }
  }

  private func withDesk(_ body: (Desk) async throws -> Void) async throws {
    try await TestDatabase.current.withPool { pool in
      let vault = try await Vault(
        pool: pool,
        keyring: Keyring(Secret("1:\(Base64.encode([UInt8](repeating: 1, count: 32)))"))
      )
      let server = Server()
      let privateKey = Ed25519.makePrivateKey()
      let publicKey = try Ed25519.publicKey(of: privateKey)
      server.add("k1", publicKey)
      let site: Int64 = try await pool.query("INSERT INTO sites (name) VALUES ('S') RETURNING id")[0].get(0)
      let tokens = WebTokens(
        pool: pool,
        vault: vault,
        fetch: { _ in server.fetch() },
        now: { server.state.withLock { $0.now } }
      )
      try await body(
        Desk(
          pool: pool,
          vault: vault,
          tokens: tokens,
          server: server,
          site: site,
          privateKey: privateKey,
          publicKey: publicKey
        )
      )
    }
  }

  @Test func aPersonOfTheOtherSystemIsSomebodyHere() async throws {
    try await withDesk { desk in
      _ = try await desk.add()
      let first = try #require(try await desk.principal(try desk.sign(desk.claims())))
      #expect(first.name == "Ada")
      #expect(first.roles == [desk.site: .editor])
      #expect(!first.isOperator)
      #expect(first.credential == .webToken(user: first.userID))
      // The same person the next time, with another role if the system says so.
      let second = try #require(
        try await desk.principal(try desk.sign(desk.claims(["role": ["writer", "else"], "aud": ["x", "rostrum"]])))
      )
      #expect(second.userID == first.userID)
      #expect(second.roles == [desk.site: .author])
      let other = try #require(try await desk.principal(try desk.sign(desk.claims(["sub": "user-8"]))))
      #expect(other.userID != first.userID)
      #expect(desk.server.fetches == 1)
      // Whose role is not known is nobody, and leaves no trace.
      #expect(try await desk.principal(try desk.sign(desk.claims(["role": "reader", "sub": "user-9"]))) == nil)
      let users: Int = try await desk.pool.query("SELECT count(*) FROM users")[0].get(0)
      #expect(users == 2)
      // Who is disabled here stays out, whatever the other system says.
      try await desk.pool.transaction { tx in
        try await UserStore(pool: desk.pool).setDisabled(true, user: first.userID, in: tx)
      }
      #expect(try await desk.principal(try desk.sign(desk.claims())) == nil)
    }
  }

  @Test func aSharedSecretIsSealed() async throws {
    try await withDesk { desk in
      _ = try await desk.add(.shared(Desk.secret), defaultRole: .viewer)
      let header: [String: JSONValue] = ["alg": "HS256"]
      let token = try desk.sign(desk.claims(["role": nil]), header: header, desk.hmac(Desk.secret))
      #expect(try await desk.principal(token)?.roles == [desk.site: .viewer])
      let wrong = try desk.sign(desk.claims(), header: header, desk.hmac(Secret("another secret of thirty-two bytes")))
      #expect(try await desk.principal(wrong) == nil)
      let stored: String = try await desk.pool.query("SELECT t::text FROM token_issuers t")[0].get(0)
      #expect(!stored.contains(Hex.encode(Desk.secret.reveal())) && !stored.contains("thirty-two"))
      #expect(desk.server.fetches == 0)
    }
  }

  @Test func aSharedSecretGetsTheNewKeyOfItsSite() async throws {
    try await withDesk { desk in
      let shared = try await desk.add(.shared(Desk.secret), defaultRole: .viewer)
      // A key set's address needs no key.
      _ = try await desk.add(.published(url: "https://cms.example/keys"))
      let rotations = KeyRotations(vault: desk.vault)
      let resealer = Resealer(
        vault: desk.vault,
        rotations: rotations,
        columns: TokenIssuerStore.sealedColumns,
        settling: .zero
      )
      let begun = try await rotations.rotate(site: desk.site)
      while try await resealer.round() > 0 {}
      let rotation = try await rotations.rotation(begun.id)
      #expect((rotation.resealed, rotation.quarantined) == (1, 0))
      let keys = try await desk.pool.query("SELECT id FROM token_issuers WHERE key_id = \(rotation.newKey)")
      #expect(try keys.map { try $0.get(0, as: Int64.self) } == [shared])
      let token = try desk.sign(desk.claims(["role": nil]), header: ["alg": "HS256"], desk.hmac(Desk.secret))
      #expect(try await desk.principal(token)?.roles == [desk.site: .viewer])
    }
  }

  @Test func aSecretThatDoesNotOpenLetsNobodyInAndStopsNoOtherIssuer() async throws {
    try await withDesk { desk in
      let broken = try await desk.add(.shared(Desk.secret), defaultRole: .viewer)
      let token = try desk.sign(desk.claims(["role": nil]), header: ["alg": "HS256"], desk.hmac(Desk.secret))
      #expect(try await desk.principal(token) != nil)
      try await desk.pool.execute(
        """
        UPDATE token_issuers SET sealed_secret = set_byte(sealed_secret, 30, get_byte(sealed_secret, 30) # 1)
        WHERE id = \(broken)
        """
      )
      #expect(try await desk.principal(token) == nil)
      _ = try await desk.add()
      #expect(try await desk.principal(try desk.sign(desk.claims()))?.roles == [desk.site: .editor])
    }
  }

  @Test func whatIsNotRightIsNobody() async throws {
    try await withDesk { desk in
      _ = try await desk.add()
      #expect(try await desk.principal(try desk.sign(desk.claims())) != nil)
      let wrongClaims: [[String: JSONValue?]] = [
        ["iss": nil], ["iss": "https://evil.example"], ["iss": "https://cms.example/"], ["aud": nil],
        ["aud": "other"], ["aud": ["other"]], ["aud": []], ["exp": nil], ["exp": "1800000300"],
        // Sixty seconds of difference between clocks are borne, not more.
        ["exp": 1_799_999_940], ["exp": 0], ["exp": -1], ["nbf": 1_800_000_061], ["nbf": "now"],
        ["iat": 1_800_000_061], ["sub": nil], ["sub": ""], ["sub": 7],
        ["sub": .string(String(repeating: "a", count: 256))],
      ]
      for changes in wrongClaims {
        #expect(try await desk.principal(try desk.sign(desk.claims(changes))) == nil, "\(changes)")
      }
      let rightClaims: [[String: JSONValue?]] = [
        ["exp": 1_799_999_941], ["nbf": 1_800_000_060], ["iat": 1_800_000_060], ["exp": 1_800_000_300.5],
      ]
      for changes in rightClaims {
        #expect(try await desk.principal(try desk.sign(desk.claims(changes))) != nil, "\(changes)")
      }
      let (publicKey, privateKey) = (desk.publicKey, desk.privateKey)
      let none: ([UInt8]) -> [UInt8] = { _ in [0] }
      let byPublicKey = desk.hmac(Secret(publicKey))
      let byText = desk.hmac(Secret(Base64.encodeURL(publicKey)))
      let own = Ed25519.makePrivateKey()
      let byOwn: ([UInt8]) throws -> [UInt8] = { try Ed25519.sign($0, with: own) }
      let jwk: JSONValue = [
        "kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": .string(Base64.encodeURL(try Ed25519.publicKey(of: own))),
      ]
      let right: ([UInt8]) throws -> [UInt8] = { try Ed25519.sign($0, with: privateKey) }
      let headers: [([String: JSONValue], ([UInt8]) throws -> [UInt8])] = [
        (["alg": "none", "kid": "k1"], none), (["alg": "None", "kid": "k1"], none), (["kid": "k1"], right),
        (["alg": "HS256", "kid": "k1"], byPublicKey), (["alg": "HS256", "kid": "k1"], byText),
        (["alg": "RS256", "kid": "k1"], right), (["alg": "ES256", "kid": "k1"], right),
        (["alg": "HS512", "kid": "k1"], byPublicKey), (["alg": "eddsa", "kid": "k1"], right),
        (["alg": "EdDSA", "kid": "k1"], byOwn), (["alg": "EdDSA", "kid": "k1", "jwk": jwk], byOwn),
        (["alg": "EdDSA", "kid": "k1", "jku": "https://evil.example/keys"], byOwn),
        (["alg": "EdDSA", "kid": "k1", "x5u": "https://evil.example/keys"], byOwn),
        (["alg": "EdDSA", "kid": "../k1"], right), (["alg": "EdDSA", "kid": 1], right),
        (["alg": "EdDSA", "kid": ""], right),
        (["alg": "EdDSA", "kid": "k1", "crit": ["b64"], "b64": false], right),
      ]
      for (header, signer) in headers {
        #expect(try await desk.principal(try desk.sign(desk.claims(), header: header, signer)) == nil, "\(header)")
      }
      let token = try desk.sign(desk.claims())
      let parts = token.split(separator: ".").map(String.init)
      for text in [
        "", ".", "..", "...", parts[0], parts[0] + "." + parts[1], parts[0] + "." + parts[1] + ".", token + ".x",
        token + "=", " " + token, parts[1] + "." + parts[0] + "." + parts[2],
        parts[0] + "." + Base64.encodeURL(Array("{}".utf8)) + "." + parts[2],
      ] {
        #expect(try await desk.principal(text) == nil, "\(text)")
      }
      // A right signature does not make up for too much text.
      let long = try desk.sign(desk.claims(["x": .string(String(repeating: "a", count: 8_192))]))
      #expect(try await desk.principal(long) == nil)
    }
  }

  /// An issuer with published keys never takes a shared secret and the other way round.
  @Test func kindsOfKeysAreNotMixed() async throws {
    try await withDesk { desk in
      _ = try await desk.add(.shared(Secret(desk.publicKey)))
      #expect(try await desk.principal(try desk.sign(desk.claims())) == nil)
      let header: [String: JSONValue] = ["alg": "HS256"]
      #expect(
        try await desk.principal(try desk.sign(desk.claims(), header: header, desk.hmac(Secret(desk.publicKey)))) != nil
      )
      #expect(desk.server.fetches == 0)
    }
  }

  @Test func aFloodOfUnknownKeysFetchesOncePerTenSeconds() async throws {
    try await withDesk { desk in
      _ = try await desk.add()
      for second in 0..<60 {
        for number in 0..<20 {
          let token = try desk.sign(desk.claims(), header: ["alg": "EdDSA", "kid": "x\(second)-\(number)"])
          #expect(try await desk.principal(token) == nil)
        }
        desk.server.pass(.seconds(1))
      }
      #expect(desk.server.fetches == 6)
      // Meanwhile the known key works, and a new one is found with the next fetch.
      #expect(try await desk.principal(try desk.sign(desk.claims())) != nil)
      let next = Ed25519.makePrivateKey()
      desk.server.add("k2", try Ed25519.publicKey(of: next))
      desk.server.pass(.seconds(10))
      let token = try desk.sign(desk.claims(), header: ["alg": "EdDSA", "kid": "k2"]) {
        try Ed25519.sign($0, with: next)
      }
      #expect(try await desk.principal(token) != nil)
    }
  }

  @Test func manyAtOnceFetchOnce() async throws {
    try await withDesk { desk in
      _ = try await desk.add()
      let token = try desk.sign(desk.claims())
      let results = try await withThrowingTaskGroup(of: Bool.self) { group in
        for _ in 0..<20 { group.addTask { try await desk.principal(token) != nil } }
        return try await group.reduce(into: [Bool]()) { $0.append($1) }
      }
      #expect(results == Array(repeating: true, count: 20))
      #expect(desk.server.fetches == 1)
      let users: Int = try await desk.pool.query("SELECT count(*) FROM users")[0].get(0)
      #expect(users == 1)
    }
  }

  @Test func theLastGoodSetIsBelievedForADay() async throws {
    try await withDesk { desk in
      _ = try await desk.add()
      let token = try desk.sign(desk.claims())
      #expect(try await desk.principal(token) != nil)
      desk.server.state.withLock { $0.isDown = true }
      desk.server.pass(.seconds(86_000))
      #expect(try await desk.principal(token) != nil)
      desk.server.pass(.seconds(401))
      #expect(try await desk.principal(token) == nil)
      desk.server.state.withLock { $0.isDown = false }
      desk.server.pass(.seconds(10))
      #expect(try await desk.principal(token) != nil)
      // A key that the issuer withdrew goes within ten minutes.
      desk.server.state.withLock { $0.keys = ["k2": $0.keys["k1"] ?? []] }
      desk.server.pass(.seconds(599))
      #expect(try await desk.principal(token) != nil)
      desk.server.pass(.seconds(1))
      #expect(try await desk.principal(token) == nil)
    }
  }

  @Test func aSiteTrustsItsOwnIssuersOnly() async throws {
    try await withDesk { desk in
      let other: Int64 = try await desk.pool.query("INSERT INTO sites (name) VALUES ('T') RETURNING id")[0].get(0)
      // The owner of another site names the same issuer and audience, with a key of their own.
      _ = try await desk.add(.shared(Desk.secret), site: other, roles: ["chief": .admin])
      let mine = try await desk.add()
      #expect(try await desk.principal(try desk.sign(desk.claims()))?.roles == [desk.site: .editor])
      let theirs = try desk.sign(desk.claims(), header: ["alg": "HS256"], desk.hmac(Desk.secret))
      #expect(try await desk.principal(theirs)?.roles == [other: .admin])
      await #expect(throws: IdentityError.unknownIssuer(mine)) {
        try await desk.tokens.issuers.remove(mine, site: other)
      }
      try await desk.tokens.issuers.remove(mine, site: desk.site)
      #expect(try await desk.principal(try desk.sign(desk.claims())) == nil)
      let left = try await desk.tokens.issuers.list(site: nil)
      #expect(left.map(\.site) == [other])
    }
  }

  @Test func issuersHaveRules() async throws {
    try await withDesk { desk in
      await #expect(throws: IdentityError.self) { try await desk.add(roles: ["chief": .owner]) }
      await #expect(throws: IdentityError.self) { try await desk.add(defaultRole: .owner) }
      await #expect(throws: IdentityError.self) { try await desk.add(roles: [:]) }
      await #expect(throws: IdentityError.self) { try await desk.add(.shared(Secret("too short"))) }
      await #expect(throws: IdentityError.self) { try await desk.add(.shared(nil)) }
      await #expect(throws: IdentityError.self) { try await desk.add(audience: "") }
      for _ in 0..<TokenIssuerStore.limit { _ = try await desk.add() }
      await #expect(throws: IdentityError.self) { try await desk.add() }
    }
  }
}
