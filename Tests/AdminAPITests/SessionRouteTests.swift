import Cryptography
import HTTPServer
import Identity
import JSONDocument
import Postgres
import TestSupport
import Testing

@testable import AdminAPI

/// Signing in and out over HTTP, as a browser does it.
@Suite(.database) struct SessionRouteTests {
  private static let page: HTTPHeaders = ["sec-fetch-site": "same-origin"]
  private static let password = "a long password"

  private func signIn(
    _ api: APIFixture,
    _ email: String = "editor@a.example",
    _ password: String = password,
    headers: HTTPHeaders = page
  ) async -> TestClient.Answer {
    let body = JSONValue.object(["email": .string(email), "password": .string(password)]).text()
    return await api.send(.post, "/api/session", as: nil, json: body, headers: headers)
  }

  private func withPasswords(_ body: (APIFixture) async throws -> Void) async throws {
    try await APIFixture.run { api in
      for role in [Role.editor, .owner] {
        let user = try await api.services.users.user(email: "\(role.rawValue)@a.example")
        try await api.services.signIn.setPassword(user: user.id, new: Self.password)
      }
      try await body(api)
    }
  }

  /// What a browser sends next time.
  private func cookie(_ answer: TestClient.Answer) throws -> String {
    let header = try #require(answer.headers["set-cookie"])
    return String(header.prefix { $0 != ";" })
  }

  private func send(
    _ api: APIFixture,
    _ method: HTTPMethod,
    _ target: String,
    _ cookie: String,
    json: String? = nil,
    _ headers: HTTPHeaders = page
  ) async -> TestClient.Answer {
    var headers = headers
    headers.set("cookie", cookie)
    return await api.send(method, target, as: nil, json: json, headers: headers)
  }

  @Test func aSessionIsACookieThatScriptsDoNotSee() async throws {
    try await withPasswords { api in
      let answer = await signIn(api)
      #expect(answer.status == 200, "\(answer.text)")
      #expect(answer.headers["cache-control"] == "no-store")
      let header = try #require(answer.headers["set-cookie"])
      #expect(header.hasPrefix("__Host-rostrum="))
      for part in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure", "; Max-Age=43200"] {
        #expect(header.contains(part), "\(header)")
      }
      #expect(!header.contains("Domain"))
      #expect(!answer.text.contains(try cookie(answer).dropFirst(15)))
      let me = await send(api, .get, "/api/session", try cookie(answer))
      #expect(me.json.pointer("/data/name")?.stringValue == "editor")
      #expect(me.json.pointer("/data/sites/0/role")?.stringValue == "editor")
      #expect(me.headers["set-cookie"] == nil)
    }
  }

  @Test(arguments: [
    (nil, "127.0.0.1", "rostrum_session", false), (nil, "0.0.0.0", "__Host-rostrum", true),
    (nil, "", "__Host-rostrum", true), ("http://localhost:8080", "0.0.0.0", "rostrum_session", false),
    ("http://[::1]:8080", "0.0.0.0", "rostrum_session", false),
    ("http://rostrum.example", "127.0.0.1", "__Host-rostrum", true),
    ("https://localhost", "127.0.0.1", "__Host-rostrum", true),
    ("http://127.evil.example", "127.0.0.1", "__Host-rostrum", true),
  ])
  func onlyTheOwnMachineDoesWithoutTLS(url: String?, host: String, name: String, isSecure: Bool) {
    let policy = BrowserPolicy(publicURL: url, listens: host)
    #expect(policy.cookieName == name)
    #expect(policy.cookie(Secret("a"), lifetime: .seconds(1)).contains("Secure") == isSecure)
  }

  @Test func wrongWaysInLookTheSame() async throws {
    try await withPasswords { api in
      let answers = [
        await signIn(api, "editor@a.example", "wrong password"), await signIn(api, "nobody@a.example"),
        await signIn(api, "viewer@a.example"),
      ]
      for answer in answers {
        #expect(answer.status == 401 && answer.code == "sign_in_failed", "\(answer.text)")
        #expect(answer.text == answers[0].text)
        #expect(answer.headers["set-cookie"] == nil)
      }
    }
  }

  @Test func guessingIsSlowedDown() async throws {
    try await withPasswords { api in
      var last = await signIn(api, "nobody@a.example", "wrong password")
      for _ in 0..<9 where last.status == 401 { last = await signIn(api, "nobody@a.example", "wrong password") }
      #expect(last.status == 429 && last.code == "too_many_requests")
      #expect(Int(last.headers["retry-after"] ?? "") ?? 0 >= 1)
      // Somebody else in the same place is let in.
      #expect(await signIn(api).status == 200)
    }
  }

  @Test func signingOutEndsIt() async throws {
    try await withPasswords { api in
      let session = try cookie(await signIn(api))
      let answer = await send(api, .delete, "/api/session", session)
      #expect(answer.status == 200)
      #expect(try #require(answer.headers["set-cookie"]).contains("Max-Age=0"))
      #expect(await send(api, .get, "/api/session", session).status == 401)
    }
  }

  @Test func peopleEndTheirOwnSessionsOnly() async throws {
    try await withPasswords { api in
      let (mine, other) = (try cookie(await signIn(api)), try cookie(await signIn(api)))
      let foreign = try cookie(await signIn(api, "owner@a.example"))
      let list = await send(api, .get, "/api/sessions", mine)
      let rows = try #require(list.json.pointer("/data")?.arrayValue)
      #expect(rows.count == 2)
      #expect(rows.filter { $0.pointer("/isThis")?.boolValue == true }.count == 1)
      let otherID = try #require(rows.first { $0.pointer("/isThis")?.boolValue == false }?.pointer("/id")?.int64Value)
      #expect(await send(api, .delete, "/api/sessions/\(otherID)", foreign).code == "session_not_found")
      #expect(await send(api, .get, "/api/session", other).status == 200)
      #expect(await send(api, .delete, "/api/sessions/\(otherID)", mine).status == 200)
      #expect(await send(api, .get, "/api/session", other).status == 401)
      #expect(await send(api, .get, "/api/session", mine).status == 200)
    }
  }

  // MARK: Other pages

  @Test(arguments: [
    (["sec-fetch-site": "same-origin"], true), (["sec-fetch-site": "none"], true),
    (["sec-fetch-site": "same-site"], false), (["sec-fetch-site": "cross-site"], false),
    (["sec-fetch-site": "cross-site", "origin": "https://rostrum.example"], false),
    (["origin": "https://rostrum.example"], true), (["origin": "https://rostrum.example:8443"], false),
    (["origin": "http://rostrum.example"], false), (["origin": "null"], false),
    (["origin": "https://rostrum.example.evil.example"], false), ([:], false),
  ])
  func onlyOwnPagesChangeThings(sent: [String: String], isOwn: Bool) async throws {
    try await withPasswords { api in
      let session = try cookie(await signIn(api))
      var headers: HTTPHeaders = [:]
      for (name, value) in sent { headers.set(name, value) }
      let before = try await api.rows()
      let answer = await send(api, .post, "/api/posts", session, json: #"{"title":"a"}"#, headers)
      #expect(answer.status == (isOwn ? 201 : 403), "\(answer.text)")
      if !isOwn {
        #expect(answer.code == "foreign_page")
        #expect(try await api.rows() == before)
      }
      // Looking is for everybody: a page of another site can not read the answer.
      #expect(await send(api, .get, "/api/posts", session, headers).status == 200)
    }
  }

  @Test func aForeignPageSignsNobodyIn() async throws {
    try await withPasswords { api in
      let foreign = await signIn(api, headers: ["origin": "https://evil.example"])
      #expect(foreign.status == 403 && foreign.headers["set-cookie"] == nil)
      // A program that is no browser may.
      #expect(await signIn(api, headers: [:]).status == 200)
    }
  }

  @Test func aTokenMakesCookiesMeaningless() async throws {
    try await withPasswords { api in
      let session = try cookie(await signIn(api))
      let viewer = try #require(api.tokens[.viewer])
      let json = #"{"title":"a"}"#
      let asViewer: HTTPHeaders = ["authorization": "Bearer \(viewer)", "sec-fetch-site": "same-origin"]
      #expect(await send(api, .post, "/api/posts", session, json: json, asViewer).status == 403)
      // A wrong token is not made up for by a right cookie.
      let asNobody: HTTPHeaders = ["authorization": "Bearer rst_wrong", "sec-fetch-site": "same-origin"]
      #expect(await send(api, .get, "/api/session", session, asNobody).status == 401)
      // And a token needs no page.
      let editor: HTTPHeaders = ["authorization": "Bearer \(try #require(api.tokens[.editor]))"]
      #expect(await api.send(.post, "/api/posts", as: nil, json: json, headers: editor).status == 201)
    }
  }

  // MARK: Changes

  @Test func aNewRoleComesWithANewCookie() async throws {
    try await withPasswords { api in
      let (session, owner) = (try cookie(await signIn(api)), try cookie(await signIn(api, "owner@a.example")))
      let user = try await api.services.users.user(email: "editor@a.example").id
      let change = await send(api, .put, "/api/members/\(user)", owner, json: #"{"role":"viewer"}"#)
      #expect(change.status == 200, "\(change.text)")
      // Also a refusal carries it.
      let refused = await send(api, .post, "/api/posts", session, json: #"{"title":"a"}"#)
      #expect(refused.status == 403)
      let new = try cookie(refused)
      #expect(new != session)
      #expect(await send(api, .get, "/api/session", new).json.pointer("/data/sites/0/role")?.stringValue == "viewer")
      let out = await send(api, .delete, "/api/members/\(user)", owner)
      #expect(out.status == 200)
      #expect(await send(api, .get, "/api/posts?siteId=\(api.site)", new).code == "site_not_found")
    }
  }

  @Test func anOwnPasswordIsChanged() async throws {
    try await withPasswords { api in
      let (mine, other) = (try cookie(await signIn(api)), try cookie(await signIn(api)))
      let change = { (current: String, new: String) in
        await send(
          api,
          .put,
          "/api/session/password",
          mine,
          json: #"{"current":"\#(current)","password":"\#(new)"}"#
        )
      }
      #expect(await change("wrong password", "another long one").code == "sign_in_failed")
      let weak = await change(Self.password, "short")
      #expect(weak.status == 422 && weak.code == "weak_password" && weak.field == "password")
      #expect(await change(Self.password, "another long one").status == 200)
      #expect(await send(api, .get, "/api/session", other).status == 401)
      #expect(await send(api, .get, "/api/session", mine).headers["set-cookie"] != nil)
      #expect(await signIn(api).status == 401)
      #expect(await signIn(api, "editor@a.example", "another long one").status == 200)
    }
  }

  @Test func somebodyIsInvited() async throws {
    try await withPasswords { api in
      let invitation = await api.send(.post, "/api/members", json: #"{"email":"new@a.example","role":"author"}"#)
      #expect(invitation.status == 200, "\(invitation.text)")
      let secret = try #require(invitation.json.pointer("/data/linkSecret")?.stringValue)
      let before = await api.get("/api/members")
      #expect(!before.text.contains("new@a.example"))
      let body = #"{"secret":"\#(secret)","password":"a long password","name":"New"}"#
      let used = await api.send(.post, "/api/session/link", as: nil, json: body, headers: Self.page)
      #expect(used.status == 200, "\(used.text)")
      let me = await send(api, .get, "/api/session", try cookie(used))
      #expect(me.json.pointer("/data/sites/0/role")?.stringValue == "author")
      #expect(await api.get("/api/members").text.contains("new@a.example"))
      let again = await api.send(.post, "/api/session/link", as: nil, json: body, headers: Self.page)
      #expect(again.status == 422 && again.code == "link_not_valid")
      // The secret is nowhere but in the answer.
      let stored = try await api.pool.query("SELECT coalesce(string_agg(a::text, ''), '') FROM audit_logs a")[0]
      #expect(!(try stored.get(0, as: String.self)).contains(secret))
    }
  }

  @Test func whoIsThereAcceptsAnInvitation() async throws {
    try await withPasswords { api in
      let foreign = try await api.token(.owner, in: api.otherSite, email: "other@a.example")
      let invitation = await api.send(
        .post,
        "/api/members",
        as: nil,
        json: #"{"email":"editor@a.example","role":"viewer"}"#,
        headers: ["authorization": "Bearer \(foreign)"]
      )
      let secret = try #require(invitation.json.pointer("/data/linkSecret")?.stringValue)
      let session = try cookie(await signIn(api))
      let takeover = await api.send(
        .post,
        "/api/session/link",
        as: nil,
        json: #"{"secret":"\#(secret)","password":"a long password"}"#,
        headers: Self.page
      )
      #expect(takeover.code == "email_taken")
      let accepted = await send(api, .post, "/api/session/invitation", session, json: #"{"secret":"\#(secret)"}"#)
      #expect(accepted.json.pointer("/data/siteId")?.int64Value == api.otherSite, "\(accepted.text)")
      let me = await send(api, .get, "/api/session", session)
      #expect(me.json.pointer("/data/sites")?.arrayValue?.count == 2)
    }
  }

  @Test func theLastOwnerStays() async throws {
    try await withPasswords { api in
      let owner = try await api.services.users.user(email: "owner@a.example").id
      let lesser = await api.send(.put, "/api/members/\(owner)", json: #"{"role":"viewer"}"#)
      #expect(lesser.status == 409 && lesser.code == "last_owner")
      #expect(await api.send(.delete, "/api/members/\(owner)").code == "last_owner")
      #expect(await api.send(.delete, "/api/members/999999").code == "member_not_found")
    }
  }

  @Test func operatorsDisableUsers() async throws {
    try await withPasswords { api in
      let session = try cookie(await signIn(api))
      let user = try await api.services.users.user(email: "editor@a.example").id
      let asOperator: HTTPHeaders = ["authorization": "Bearer \(api.operatorToken)"]
      let off = await api.send(.post, "/api/users/\(user)/disable", as: nil, headers: asOperator)
      #expect(off.status == 200 && off.json.pointer("/data/disabledAt")?.stringValue != nil, "\(off.text)")
      #expect(await send(api, .get, "/api/session", session).status == 401)
      #expect(await api.get("/api/posts", as: .editor).status == 401)
      #expect(await signIn(api).status == 401)
      let on = await api.send(.post, "/api/users/\(user)/enable", as: nil, headers: asOperator)
      #expect(on.json.pointer("/data/disabledAt")?.isNull == true)
      #expect(await api.get("/api/posts", as: .editor).status == 200)
      #expect(await signIn(api).status == 200)
      let own = try await api.services.users.user(email: "operator@a.example").id
      #expect(await api.send(.post, "/api/users/\(own)/disable", as: nil, headers: asOperator).code == "own_user")
      #expect(await api.send(.post, "/api/users/999999/disable", as: nil, headers: asOperator).status == 404)
    }
  }
}
