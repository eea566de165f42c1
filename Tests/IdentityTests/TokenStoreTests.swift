import Cryptography
import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import Identity

@Suite(.database) struct TokenStoreTests {
  private struct People {
    let pool: Pool
    let tokens: TokenStore
    let user: User
    let sites: [Int64]

    func token(
      site: Int64? = nil,
      role: Role? = nil,
      scopes: Set<Permission>? = nil,
      expiresAt: Date? = nil
    ) async throws -> (id: Int64, text: String) {
      let (id, token) = try await pool.transaction { tx in
        let limits = TokenStore.Limits(sites: site.map { [$0] }, role: role, scopes: scopes)
        return try await tokens.create(user: user.id, limits: limits, name: "t", expiresAt: expiresAt, in: tx)
      }
      return (id, try #require(token.revealText()))
    }
  }

  private func withPeople(isOperator: Bool = false, _ body: (People) async throws -> Void) async throws {
    try await TestDatabase.current.withPool { pool in
      let users = UserStore(pool: pool)
      let user = try await pool.transaction { tx in
        try await users.create(email: "a@a.example", name: "A", isOperator: isOperator, in: tx)
      }
      var sites: [Int64] = []
      for role in [Role.editor, .owner] {
        let site: Int64 = try await pool.query("INSERT INTO sites (name) VALUES ('S') RETURNING id")[0].get(0)
        try await pool.transaction { tx in try await users.setRole(role, of: user.id, in: site, in: tx) }
        sites.append(site)
      }
      try await body(People(pool: pool, tokens: TokenStore(pool: pool), user: user, sites: sites))
    }
  }

  @Test func aTokenIsItsUser() async throws {
    try await withPeople(isOperator: true) { people in
      let (id, text) = try await people.token()
      let principal = try #require(try await people.tokens.principal(for: text))
      #expect(principal.userID == people.user.id)
      #expect(principal.credential == .token(id))
      #expect(principal.isOperator)
      #expect(principal.roles == [people.sites[0]: .editor, people.sites[1]: .owner])
    }
  }

  @Test func onlyTheHashIsStored() async throws {
    try await withPeople { people in
      let (_, text) = try await people.token()
      let row = try #require(
        try await people.pool.query("SELECT token_hash, hint, t::text AS all FROM api_tokens t").first
      )
      #expect(try row.get("token_hash", as: [UInt8].self) == SHA256.digest(text))
      #expect(try !row.get("all", as: String.self).contains(text.dropFirst(4).prefix(20)))
      #expect(try row.get("hint", as: String.self) == String(text.suffix(4)))
      #expect(text.hasPrefix("rst_"))
    }
  }

  @Test(arguments: ["", "rst_", "Bearer x", "rst_" + String(repeating: "A", count: 43), "rst_é"])
  func unknownTokensAreNobody(text: String) async throws {
    try await withPeople { people in
      _ = try await people.token()
      #expect(try await people.tokens.principal(for: text) == nil)
    }
  }

  @Test func limitsOnlyTakeAway() async throws {
    try await withPeople(isOperator: true) { people in
      let viewer = try #require(try await people.tokens.principal(for: try await people.token(role: .viewer).text))
      #expect(Set(viewer.roles.values) == [.viewer])
      #expect(!viewer.isOperator)
      let owner = try #require(try await people.tokens.principal(for: try await people.token(role: .owner).text))
      #expect(owner.roles == [people.sites[0]: .editor, people.sites[1]: .owner])
      let one = try #require(
        try await people.tokens.principal(for: try await people.token(site: people.sites[0]).text)
      )
      #expect(one.roles == [people.sites[0]: .editor])
      #expect(one.onlySite == people.sites[0])
      // A token for one site may not look after the whole host.
      #expect(!one.isOperator)
    }
  }

  @Test func scopesOnlyTakeAway() async throws {
    try await withPeople(isOperator: true) { people in
      let (id, text) = try await people.token(scopes: [.read, .publish, .manageMembers])
      let scoped = try #require(try await people.tokens.principal(for: text))
      #expect(!scoped.isOperator)
      #expect(scoped.may(.read, in: people.sites[0]) && scoped.may(.publish, in: people.sites[0]))
      #expect(!scoped.may(.write, in: people.sites[0]))
      // An editor gets no more than an editor may.
      #expect(!scoped.may(.manageMembers, in: people.sites[0]))
      #expect(scoped.may(.manageMembers, in: people.sites[1]))
      let nothing = try #require(try await people.tokens.principal(for: try await people.token(scopes: []).text))
      #expect(!nothing.may(.read, in: people.sites[0]))
      let stored = try #require(try await people.tokens.list(user: people.user.id).last)
      #expect(stored.id == id && stored.limits.scopes == [.read, .publish, .manageMembers])
    }
  }

  @Test func severalSitesAreSeveral() async throws {
    try await withPeople { people in
      let make = { (sites: [Int64]) in
        try await people.pool.transaction { tx in
          try await people.tokens.create(
            user: people.user.id,
            limits: TokenStore.Limits(sites: sites),
            name: "t",
            expiresAt: nil,
            in: tx
          ).token.revealText() ?? ""
        }
      }
      let both = try #require(try await people.tokens.principal(for: try await make(people.sites)))
      #expect(both.roles == [people.sites[0]: .editor, people.sites[1]: .owner])
      let none = try #require(try await people.tokens.principal(for: try await make([])))
      #expect(none.roles.isEmpty)
    }
  }

  @Test func tokensThatWereNotCopiedWholeAreTold() async throws {
    try await withPeople { people in
      let (_, text) = try await people.token()
      #expect(text.utf8.count == 53 && !TokenStore.isBroken(text))
      var characters = Array(text)
      for place in 4..<characters.count {
        let old = characters[place]
        characters[place] = old == "a" ? "b" : "a"
        #expect(TokenStore.isBroken(String(characters)), "\(place)")
        characters[place] = old
      }
      for count in 4..<53 where count != 47 { #expect(TokenStore.isBroken(String(text.prefix(count)))) }
      #expect(TokenStore.isBroken(text + "a"))
      #expect(!TokenStore.isBroken("abc.def.ghi"))
      // One from before there were check characters.
      let old = "rst_" + Base64.encodeURL([UInt8](repeating: 7, count: 32))
      try await people.pool.execute("UPDATE api_tokens SET token_hash = \(SHA256.digest(old))")
      #expect(try await people.tokens.principal(for: old)?.userID == people.user.id)
    }
  }

  @Test func onlyTheOwnerEndsAToken() async throws {
    try await withPeople { people in
      let (id, text) = try await people.token()
      await #expect(throws: IdentityError.unknownToken(id)) {
        try await people.tokens.revoke(id, user: people.user.id + 1)
      }
      #expect(try await people.tokens.principal(for: text) != nil)
      try await people.tokens.revoke(id, user: people.user.id)
      #expect(try await people.tokens.principal(for: text) == nil)
    }
  }

  @Test func expiredTokensAreNobody() async throws {
    try await withPeople { people in
      let past = try await people.token(expiresAt: Date().addingTimeInterval(-1))
      #expect(try await people.tokens.principal(for: past.text) == nil)
      let future = try await people.token(expiresAt: Date().addingTimeInterval(3600))
      #expect(try await people.tokens.principal(for: future.text) != nil)
    }
  }

  @Test func revokedTokensAreNobodyAtOnce() async throws {
    try await withPeople { people in
      let (id, text) = try await people.token()
      #expect(try await people.tokens.principal(for: text) != nil)
      try await people.tokens.revoke(id)
      #expect(try await people.tokens.principal(for: text) == nil)
      await #expect(throws: IdentityError.unknownToken(id)) { try await people.tokens.revoke(id) }
    }
  }

  @Test func peopleAndSitesThatAreGoneGiveNothing() async throws {
    try await withPeople { people in
      let (_, text) = try await people.token()
      try await people.pool.execute("UPDATE sites SET archived_at = now() WHERE id = \(people.sites[0])")
      #expect(try await people.tokens.principal(for: text)?.roles == [people.sites[1]: .owner])
      try await people.pool.execute("UPDATE users SET deactivated_at = now()")
      #expect(try await TokenStore(pool: people.pool).principal(for: text) == nil)
    }
  }

  @Test func useIsStoredInOneGo() async throws {
    try await withPeople { people in
      let (_, text) = try await people.token()
      _ = try await people.tokens.principal(for: text)
      try await people.tokens.flushUse()
      #expect(try await people.pool.query("SELECT FROM api_tokens WHERE last_used_at IS NOT NULL").count == 1)
    }
  }

  @Test(arguments: [
    "", "a", "a@", "@b.c", "a@b", "a@b@c.d", "a b@c.d", "a@" + String(repeating: "b", count: 252) + ".d",
  ])
  func strangeAddressesAreRefused(email: String) async throws {
    try await withPeople { people in
      await #expect(throws: IdentityError.invalidEmail(email)) {
        try await people.pool.transaction { tx in
          try await UserStore(pool: people.pool).create(email: email, name: "B", isOperator: false, in: tx)
        }
      }
    }
  }

  @Test func anAddressIsTakenInAnyCase() async throws {
    try await withPeople { people in
      let users = UserStore(pool: people.pool)
      await #expect(throws: IdentityError.emailTaken("A@A.Example")) {
        try await people.pool.transaction { tx in
          try await users.create(email: "A@A.Example", name: "B", isOperator: false, in: tx)
        }
      }
      let found = try await users.user(email: "A@A.EXAMPLE")
      let all = try await users.list()
      #expect(found.id == people.user.id)
      #expect(all.map(\.id) == [people.user.id])
      await #expect(throws: IdentityError.unknownUser("b@b.example")) { try await users.user(email: "b@b.example") }
    }
  }

  @Test func aRoleIsReplaced() async throws {
    try await withPeople { people in
      let users = UserStore(pool: people.pool)
      try await people.pool.transaction { tx in
        try await users.setRole(.viewer, of: people.user.id, in: people.sites[1], in: tx)
      }
      let (_, text) = try await people.token(site: people.sites[1])
      #expect(try await people.tokens.principal(for: text)?.roles == [people.sites[1]: .viewer])
    }
  }
}
