import Cryptography
import Postgres
import TestSupport
import Testing

@testable import Identity

@Suite(.database) struct SignInTests {
  private struct House {
    let pool: Pool
    let signIn: SignIn
    let users: UserStore
    let user: User
    let site: Int64

    static let password = "a long password"

    func `in`(_ email: String = "a@a.example", _ password: String = House.password) async throws -> SignIn.Welcome {
      try await signIn.signIn(email: email, password: Secret(password), browser: browser())
    }

    func browser(_ session: Secret? = nil) -> SignIn.Browser {
      SignIn.Browser(address: "192.0.2.1", userAgent: "test", session: session?.revealText())
    }

    func find(_ session: Secret) async throws -> SessionStore.Found? {
      try await signIn.sessions.find(session.revealText() ?? "")
    }

    func link(_ purpose: SignInLink.Purpose) async throws -> Secret {
      try await pool.transaction { tx in try await SignInLink.make(purpose, in: tx) }
    }

    func phc() async throws -> String {
      try await pool.query("SELECT phc FROM user_passwords WHERE user_id = \(user.id)")[0].get(0)
    }
  }

  private static let cheap = Scrypt.Parameters(n: 16, r: 1, p: 1)

  private func withHouse(
    _ parameters: Scrypt.Parameters = cheap,
    _ body: (House) async throws -> Void
  ) async throws {
    try await TestDatabase.current.withPool { pool in
      let users = UserStore(pool: pool)
      let signIn = SignIn(
        pool: pool,
        sessions: SessionStore(pool: pool),
        hasher: PasswordHasher(parameters: Self.cheap)
      )
      let user = try await pool.transaction { tx in
        try await users.create(email: "a@a.example", name: "A", isOperator: false, in: tx)
      }
      let site: Int64 = try await pool.query("INSERT INTO sites (name) VALUES ('S') RETURNING id")[0].get(0)
      try await pool.transaction { tx in try await users.setRole(.editor, of: user.id, in: site, in: tx) }
      try await signIn.setPassword(user: user.id, new: House.password)
      let dearer = SignIn(
        pool: pool,
        sessions: signIn.sessions,
        hasher: PasswordHasher(parameters: parameters)
      )
      try await body(House(pool: pool, signIn: dearer, users: users, user: user, site: site))
    }
  }

  @Test func theRightPasswordOpensASession() async throws {
    try await withHouse { house in
      let welcome = try await house.in("A@A.EXAMPLE")
      let found = try #require(try await house.find(welcome.session))
      #expect(found.principal.userID == house.user.id)
      #expect(found.principal.roles == [house.site: .editor])
      #expect(found.replacement == nil)
      let stored = try await house.pool.query("SELECT x::text AS all FROM sessions x")[0].get("all", as: String.self)
      #expect(!stored.contains(try #require(welcome.session.revealText()).prefix(20)))
    }
  }

  @Test func allWrongWaysInGetOneAnswer() async throws {
    try await withHouse { house in
      let noPassword = try await house.pool.transaction { tx in
        try await house.users.create(email: "b@a.example", name: "B", isOperator: true, in: tx)
      }
      for (email, password) in [
        ("a@a.example", "wrong password"), ("nobody@a.example", House.password), (noPassword.email, House.password),
        ("", ""), ("a@a.example' OR 1=1", House.password),
      ] {
        await #expect(throws: SignInError.wrong) { try await house.in(email, password) }
      }
      try await house.pool.transaction { tx in
        try await house.users.setDisabled(true, user: house.user.id, in: tx)
      }
      await #expect(throws: SignInError.wrong) { try await house.in() }
    }
  }

  @Test func dearerCostsComeWithTheNextSignIn() async throws {
    try await withHouse(Scrypt.Parameters(n: 64, r: 1, p: 1)) { house in
      let before = try await house.phc()
      #expect(before.hasPrefix("$scrypt$ln=4,"))
      await #expect(throws: SignInError.wrong) { try await house.in("a@a.example", "wrong password") }
      #expect(try await house.phc() == before)
      _ = try await house.in()
      let after = try await house.phc()
      #expect(after.hasPrefix("$scrypt$ln=6,"))
      _ = try await house.in()
      #expect(try await house.phc() == after)
    }
  }

  @Test func signingInEndsTheSessionOfTheSameBrowser() async throws {
    try await withHouse { house in
      let first = try await house.in()
      let second = try await house.signIn.signIn(
        email: "a@a.example",
        password: Secret(House.password),
        browser: house.browser(first.session)
      )
      #expect(try await house.find(first.session) == nil)
      #expect(try await house.find(second.session) != nil)
    }
  }

  @Test func aRoleChangeGivesTheSessionANewName() async throws {
    try await withHouse { house in
      let old = try await house.in().session
      try await house.pool.transaction { tx in
        try await house.users.setRole(.admin, of: house.user.id, in: house.site, in: tx)
      }
      let first = try #require(try await house.find(old))
      let new = try #require(first.replacement)
      #expect(first.principal.roles == [house.site: .admin])
      // Requests on their way with the old name still are answered, but not for long, and never rename it again.
      let late = try #require(try await house.find(old))
      #expect(late.replacement == nil)
      #expect(late.principal.credential == first.principal.credential)
      try await house.pool.execute("UPDATE sessions SET rotated_at = now() - interval '31 seconds'")
      #expect(try await house.find(old) == nil)
      let found = try #require(try await house.find(new))
      #expect(found.replacement == nil)
    }
  }

  @Test func sessionsEndByThemselves() async throws {
    try await withHouse { house in
      let idle = try await house.in().session
      let old = try await house.in().session
      let live = try await house.in().session
      let ids = try await house.pool.query("SELECT id FROM sessions ORDER BY id").map { try $0.get(0, as: Int64.self) }
      try await house.pool.execute(
        "UPDATE sessions SET last_used_at = now() - interval '30 minutes 1 second' WHERE id = \(ids[0])"
      )
      try await house.pool.execute(
        "UPDATE sessions SET created_at = now() - interval '12 hours 1 second' WHERE id = \(ids[1])"
      )
      try await house.pool.execute(
        "UPDATE sessions SET last_used_at = now() - interval '29 minutes' WHERE id = \(ids[2])"
      )
      #expect(try await house.find(idle) == nil)
      #expect(try await house.find(old) == nil)
      #expect(try await house.find(live) != nil)
      // Its use counts from now.
      try await house.signIn.sessions.clean()
      let rows = try await house.signIn.sessions.list(user: house.user.id)
      #expect(rows.map(\.id) == [ids[2]])
      #expect(
        try await house.pool.query("SELECT FROM sessions WHERE last_used_at > now() - interval '1 minute'").count == 1
      )
    }
  }

  @Test func disablingEndsEverySession() async throws {
    try await withHouse { house in
      let session = try await house.in().session
      try await house.pool.transaction { tx in
        try await house.users.setDisabled(true, user: house.user.id, in: tx)
      }
      #expect(try await house.find(session) == nil)
      try await house.pool.transaction { tx in
        try await house.users.setDisabled(false, user: house.user.id, in: tx)
      }
      #expect(try await house.find(session) == nil)
      _ = try await house.in()
    }
  }

  @Test func aNewPasswordEndsWhatTheOldOneOpened() async throws {
    try await withHouse { house in
      let (mine, other) = (try await house.in().session, try await house.in().session)
      guard case .session(let id)? = try await house.find(mine)?.principal.credential else {
        Issue.record("There is no session")
        return
      }
      let change = { (current: String, new: String) in
        try await house.signIn.changePassword(
          user: house.user.id,
          session: id,
          current: Secret(current),
          new: new,
          address: "192.0.2.1"
        )
      }
      await #expect(throws: SignInError.wrong) { try await change("wrong password", "another long one") }
      await #expect(throws: SignInError.self) { try await change(House.password, "short") }
      try await change(House.password, "another long one")
      #expect(try await house.find(other) == nil)
      #expect(try await house.find(mine)?.replacement != nil)
      await #expect(throws: SignInError.wrong) { try await house.in() }
      _ = try await house.in("a@a.example", "another long one")
    }
  }

  // MARK: Links

  private func use(_ house: House, _ secret: Secret, email: String? = nil) async throws -> SignIn.Welcome {
    try await house.signIn.useLink(
      secret,
      password: "another long one",
      email: email,
      name: nil,
      browser: house.browser()
    )
  }

  @Test func aLinkOfAUserWorksOnce() async throws {
    try await withHouse { house in
      let older = try await house.link(.password(user: house.user.id))
      let link = try await house.link(.password(user: house.user.id))
      let session = try await house.in().session
      await #expect(throws: SignInError.linkNotValid) { try await use(house, older) }
      let welcome = try await use(house, link)
      #expect(welcome.user == house.user.id)
      #expect(try await house.find(session) == nil)
      await #expect(throws: SignInError.linkNotValid) { try await use(house, link) }
      await #expect(throws: SignInError.wrong) { try await house.in() }
      #expect(try await house.find(welcome.session) != nil)
    }
  }

  @Test func linksExpireAndDisabledUsersHaveNone() async throws {
    try await withHouse { house in
      let link = try await house.link(.password(user: house.user.id))
      try await house.pool.execute("UPDATE sign_in_links SET expires_at = now() - interval '1 second'")
      await #expect(throws: SignInError.linkNotValid) { try await use(house, link) }
      let next = try await house.link(.password(user: house.user.id))
      try await house.pool.transaction { tx in
        try await house.users.setDisabled(true, user: house.user.id, in: tx)
      }
      await #expect(throws: SignInError.linkNotValid) { try await use(house, next) }
      await #expect(throws: SignInError.linkNotValid) { try await use(house, Secret("made up")) }
    }
  }

  @Test func theFirstLinkMakesOneOperatorOnly() async throws {
    try await TestDatabase.current.withPool { pool in
      let signIn = SignIn(
        pool: pool,
        sessions: SessionStore(pool: pool),
        hasher: PasswordHasher(parameters: Self.cheap)
      )
      #expect(try await SignInLink.needsFirstUser(pool))
      let link = try await pool.transaction { tx in try await SignInLink.make(.firstUser, in: tx) }
      let browser = SignIn.Browser(address: "192.0.2.1", userAgent: nil, session: nil)
      let use = { (email: String?) in
        try await signIn.useLink(link, password: "a long password", email: email, name: "Me", browser: browser)
      }
      await #expect(throws: IdentityError.invalidEmail("")) { try await use(nil) }
      let results = await withTaskGroup(of: Int64?.self) { group in
        for number in 0..<2 {
          group.addTask {
            do {
              return try await signIn.useLink(
                link,
                password: "a long password",
                email: "\(number)@a.example",
                name: nil,
                browser: browser
              ).user
            } catch {
              return nil
            }
          }
        }
        var results: [Int64?] = []
        for await result in group { results.append(result) }
        return results
      }
      #expect(results.compactMap { $0 }.count == 1)
      let users = try await UserStore(pool: pool).list()
      #expect(users.count == 1 && users[0].isOperator)
      // A link that was made before but not used is of no use any more.
      let late = try await pool.transaction { tx in try await SignInLink.make(.firstUser, in: tx) }
      await #expect(throws: SignInError.linkNotValid) {
        try await signIn.useLink(late, password: "a long password", email: "c@a.example", name: nil, browser: browser)
      }
      #expect(try await !SignInLink.needsFirstUser(pool))
    }
  }

  @Test func anInvitationMakesAMember() async throws {
    try await withHouse { house in
      let purpose = SignInLink.Purpose.invitation(site: house.site, role: .author, email: "new@a.example")
      let link = try await house.link(purpose)
      #expect(try await house.users.members(of: house.site, after: 0, limit: 9).count == 1)
      let welcome = try await use(house, link)
      let found = try #require(try await house.find(welcome.session))
      #expect(found.principal.roles == [house.site: .author])
      #expect(!found.principal.isOperator)
    }
  }

  /// An owner of a site must not get into an account by inviting its address.
  @Test func anInvitationOpensNoAccountThatIsThere() async throws {
    try await withHouse { house in
      let purpose = SignInLink.Purpose.invitation(site: house.site, role: .owner, email: "A@A.example")
      let link = try await house.link(purpose)
      await #expect(throws: IdentityError.emailTaken("A@A.example")) { try await use(house, link) }
      _ = try await house.in()
      // The refusal used nothing up: signed in, the person accepts it.
      let accepted = try await house.signIn.accept(link, user: house.user.id, address: "192.0.2.1")
      #expect(accepted == (house.site, .owner))
      await #expect(throws: SignInError.linkNotValid) {
        try await house.signIn.accept(link, user: house.user.id, address: "192.0.2.1")
      }
      // A lower role takes nothing away.
      let lower = try await house.link(.invitation(site: house.site, role: .viewer, email: "a@a.example"))
      _ = try await house.signIn.accept(lower, user: house.user.id, address: "192.0.2.1")
      #expect(try await house.users.members(of: house.site, after: 0, limit: 9).map(\.role) == [.owner])
    }
  }

  @Test func aSiteKeepsAnOwner() async throws {
    try await withHouse { house in
      let set = { (role: Role) in
        try await house.pool.transaction { tx in
          try await house.users.changeRole(role, of: house.user.id, in: house.site, in: tx)
        }
      }
      try await set(.owner)
      await #expect(throws: IdentityError.lastOwner) { try await set(.admin) }
      await #expect(throws: IdentityError.lastOwner) {
        try await house.pool.transaction { tx in
          try await house.users.removeMember(house.user.id, from: house.site, in: tx)
        }
      }
      let second = try await house.pool.transaction { tx in
        let user = try await house.users.create(email: "b@a.example", name: "B", isOperator: false, in: tx)
        try await house.users.setRole(.owner, of: user.id, in: house.site, in: tx)
        return user
      }
      try await set(.admin)
      await #expect(throws: IdentityError.unknownMember(999_999)) {
        try await house.pool.transaction { tx in
          try await house.users.removeMember(999_999, from: house.site, in: tx)
        }
      }
      #expect(
        try await house.users.members(of: house.site, after: house.user.id, limit: 1).map(\.user.id) == [second.id]
      )
    }
  }
}
