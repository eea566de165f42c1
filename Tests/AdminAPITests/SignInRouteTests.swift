import Connecting
import Cryptography
import FoundationEssentials
import HTTPServer
import Identity
import JSONDocument
import Logging
import OAuth
import Postgres
import Publishing
import TestSupport
import Testing

@testable import AdminAPI

/// Connecting an account by a sign-in, as browsers and programs do it.
@Suite(.database) struct SignInRouteTests {
  private typealias Fixture = SignInFixture

  @Test func threeStepsConnectAnAccount() async throws {
    try await Fixture.run { fixture in
      let started = try await fixture.start()
      let page = try #require(URL(string: started.page))
      #expect(page.host() == "www.example.com" && page.path() == "/authorize")
      let asked = Dictionary(try QueryParameters(page.query() ?? "").list) { first, _ in first }
      #expect(asked["client_id"] == "probe-id")
      #expect(asked["redirect_uri"] == "https://rostrum.example\(Fixture.base)/callback")
      #expect(asked["scope"] == "post.write offline")
      #expect(asked["state"] == started.state && started.state.utf8.count == 43)

      let answer = await fixture.callback(started)
      let back = try #require(try fixture.sentBack(answer), "\(answer.status) \(answer.text)")
      #expect(back["success"] == "true")
      #expect(answer.headers["cache-control"] == "no-store")
      #expect(answer.headers["referrer-policy"] == "no-referrer")
      #expect(answer.headers.all("set-cookie").contains { $0.contains("connect-\(started.id)=;") })

      let exchange = try #require(fixture.platform.received.first)
      #expect(fixture.platform.received.count == 1)
      #expect(exchange.form["code"] == "canary-code")
      #expect(exchange.form["redirect_uri"] == asked["redirect_uri"])
      #expect(exchange.authorization == "Basic " + Base64.encode(Array("probe-id:canary-secret".utf8)))
      let verifier = try #require(exchange.form["code_verifier"])
      #expect(ProofKey(verifier: Secret(verifier)).challenge == asked["code_challenge"])

      let id = try #require(back["connectionId"].flatMap { Int64($0) })
      let row = try await fixture.api.pool.query(
        """
        SELECT account_id, array_to_string(scopes, ' ') AS scopes, app_id IS NULL AS is_host,
          extract(epoch FROM expires_at - token_issued_at)::bigint AS life, renew_at < expires_at AS renews, status
        FROM platform_connections WHERE id = \(id)
        """
      )[0]
      #expect(try row.get("account_id", as: String.self) == "new")
      #expect(try row.get("scopes", as: String.self) == "post.write offline")
      #expect(try row.get("is_host", as: Bool.self))
      #expect(try row.get("life", as: Int64.self) == 7_200)
      #expect(try row.get("renews", as: Bool.self))
      #expect(try await fixture.ends() == ["connected"])
      #expect(try await fixture.audits() == 1)
      let left: Int = try await fixture.api.pool.query(
        "SELECT count(*) FROM oauth_states WHERE octet_length(sealed) > 0"
      )[0].get(0)
      #expect(left == 0)
    }
  }

  @Test func theGrantLiesSealedUnderReservedNames() async throws {
    try await Fixture.run { fixture in
      let back = try fixture.sentBack(await fixture.callback(try await fixture.start()))
      let id = try #require(back?["connectionId"].flatMap { Int64($0) })
      let account = try await fixture.api.account(id)
      #expect(account.secrets["token"]?.revealText() == "canary-access")
      #expect(account.secrets[CredentialGrant.refreshToken]?.revealText() == "canary-refresh")
      #expect(account.secrets.count == 2)
      // Credentials that somebody enters replace everything that the sign-in gave.
      let entered = await fixture.api.send(
        .put,
        "/api/admin/distribution/connections/\(id)?siteId=\(fixture.api.site)",
        json: #"{"credentials":{"token":"typed"}}"#
      )
      #expect(entered.status == 200, "\(entered.text)")
      #expect(try await fixture.api.account(id).secrets.mapValues { $0.revealText() } == ["token": "typed"])
      let kept: Int = try await fixture.api.pool.query(
        """
        SELECT count(*) FROM platform_connections WHERE id = \(id)
          AND num_nonnulls(expires_at, renew_at, token_issued_at, scopes, app_id) > 0
        """
      )[0].get(0)
      #expect(kept == 0)
    }
  }

  @Test(arguments: ["oauth.refresh", "oauth.user"]) func nobodyEntersReservedNames(name: String) async throws {
    try await Fixture.run { fixture in
      let answer = await fixture.api.send(
        .post,
        "/api/admin/distribution/connections",
        json: #"{"siteId":\#(fixture.api.site),"platform":"probe","credentials":{"token":"t","\#(name)":"x"}}"#
      )
      #expect(answer.status == 422)
      #expect(answer.field == "credentials.\(name)")
    }
  }

  // MARK: Programs

  @Test func aProgramsSignInBindsTheFirstBrowser() async throws {
    try await Fixture.run { fixture in
      let started = await fixture.api.send(
        .post,
        Fixture.base + "/connect",
        as: .admin,
        json: fixture.connectBody()
      )
      #expect(started.headers["set-cookie"] == nil)
      let address = try #require(started.json.pointer("/data/authUrl")?.stringValue)
      let state = try #require(started.json.pointer("/data/state")?.stringValue)
      let prefix = "https://rostrum.example"
      try #require(address.hasPrefix("\(prefix)\(Fixture.base)/begin?ticket="))
      // Without a browser bound there is nobody to come back.
      let begin = String(address.dropFirst(prefix.count))
      let other = begin.replacing("/probe/", with: "/x/")
      #expect(await fixture.api.send(.get, other, as: nil).status == 400)
      #expect(await fixture.api.send(.head, begin, as: nil).status == 405)
      let first = await fixture.api.send(.get, begin, as: nil)
      #expect(first.status == 303)
      #expect(first.headers["location"]?.hasPrefix("https://www.example.com/authorize?") == true)
      #expect(first.headers["location"]?.contains("state=\(state)") == true)
      #expect(first.headers["referrer-policy"] == "no-referrer")
      let second = await fixture.api.send(.get, begin, as: nil)
      #expect(second.status == 400 && second.headers["set-cookie"] == nil)
      let cookie = String(try #require(first.headers["set-cookie"]).prefix { $0 != ";" })
      let target = Fixture.base + "/callback?code=c&state=\(state)"
      let answer = await fixture.browse(.get, target, cookie)
      #expect(try fixture.sentBack(answer)?["success"] == "true", "\(answer.text)")
    }
  }

  @Test func aProgramsSignInIsNotForAnotherPersonsSession() async throws {
    try await Fixture.run { fixture in
      let started = await fixture.api.send(.post, Fixture.base + "/connect", as: .admin, json: fixture.connectBody())
      let address = try #require(started.json.pointer("/data/authUrl")?.stringValue)
      let state = try #require(started.json.pointer("/data/state")?.stringValue)
      let begun = await fixture.api.send(.get, String(address.dropFirst(23)), as: nil)
      let cookie = try #require(begun.headers["set-cookie"]).prefix { $0 != ";" }
      let target = Fixture.base + "/callback?code=c&state=\(state)"
      let answer = await fixture.browse(.get, target, "\(cookie); \(try await fixture.api.cookie(.owner))")
      #expect(answer.status == 400)
      #expect(try await fixture.ends() == ["refused foreign_user"])
      #expect(try await fixture.connections() == 1)
    }
  }

  // MARK: What may not be

  @Test func aStateCountsOnce() async throws {
    try await Fixture.run { fixture in
      let started = try await fixture.start()
      let target = Fixture.base + "/callback?code=c&state=\(started.state)"
      #expect(await fixture.browse(.head, target, started.cookies).status == 405)
      #expect(try fixture.sentBack(await fixture.callback(started))?["success"] == "true")
      let again = await fixture.callback(started)
      #expect(again.status == 400 && again.headers["location"] == nil)
      #expect(fixture.platform.received.count == 1)
      #expect(try await fixture.connections() == 2)
      #expect(try await fixture.audits() == 1)
    }
  }

  @Test func ofTwoCallbacksAtOnceOneConnects() async throws {
    try await Fixture.run { fixture in
      let started = try await fixture.start()
      let answers = await withTaskGroup(of: TestClient.Answer.self) { group in
        for _ in 0..<8 { group.addTask { await fixture.callback(started) } }
        return await group.reduce(into: []) { $0.append($1) }
      }
      #expect(answers.count { $0.status == 303 } == 1)
      #expect(answers.count { $0.status == 400 } == 7)
      #expect(fixture.platform.received.count == 1)
      #expect(try await fixture.connections() == 2)
    }
  }

  @Test func anotherBrowserIsRefused() async throws {
    try await Fixture.run { fixture in
      for tamper in ["none", "other", "changed"] {
        let started = try await fixture.start()
        let session = String(started.cookies.prefix { $0 != ";" })
        let cookies: String
        switch tamper {
        case "none": cookies = session
        case "other": cookies = try await fixture.start().cookies
        default: cookies = String(started.cookies.dropLast()) + (started.cookies.hasSuffix("A") ? "B" : "A")
        }
        let answer = await fixture.callback(started, cookies: cookies)
        #expect(answer.status == 400 && answer.headers["location"] == nil, "\(tamper)")
        #expect(answer.headers["content-type"]?.hasPrefix("text/html") == true)
        #expect(answer.headers["referrer-policy"] == "no-referrer")
        // The right browser comes too late: the code may have been seen by somebody.
        #expect(await fixture.callback(started).status == 400)
      }
      #expect(fixture.platform.received.isEmpty)
      #expect(try await fixture.ends().filter { !$0.isEmpty } == Array(repeating: "refused foreign_browser", count: 3))
    }
  }

  @Test func anotherPersonIsRefused() async throws {
    try await Fixture.run { fixture in
      for withSession in [true, false] {
        let started = try await fixture.start(as: .admin)
        let cookie = try #require(started.cookies.split(separator: "; ").last)
        let cookies = withSession ? "\(try await fixture.api.cookie(.owner)); \(cookie)" : String(cookie)
        #expect(await fixture.callback(started, cookies: cookies).status == 400)
      }
      #expect(try await fixture.ends() == ["refused foreign_user", "refused foreign_user"])
      #expect(fixture.platform.received.isEmpty)
    }
  }

  @Test func whoLostTheRoleIsRefused() async throws {
    try await Fixture.run { fixture in
      let started = try await fixture.start(as: .admin)
      try await fixture.api.pool.execute(
        "UPDATE site_users SET role = 'editor' WHERE user_id = (SELECT id FROM users WHERE email = 'admin@a.example')"
      )
      #expect(await fixture.callback(started).status == 400)
      #expect(try await fixture.ends() == ["refused access_lost"])
      #expect(fixture.platform.received.isEmpty)
    }
  }

  @Test func theAddressOfAnotherPlatformIsRefused() async throws {
    try await Fixture.run { fixture in
      let started = try await fixture.start()
      let target = "/api/admin/distribution/platforms/x/callback?code=c&state=\(started.state)"
      let answer = await fixture.browse(.get, target, started.cookies)
      #expect(answer.status == 400 && answer.headers["location"] == nil)
      #expect(try await fixture.ends() == ["refused wrong_platform"])
      #expect(await fixture.callback(started).status == 400)
      #expect(fixture.platform.received.isEmpty)
    }
  }

  @Test func theIssuerMustBeTheRightOne() async throws {
    try await Fixture.run(more: #""issuer": "https://www.example.com","#) { fixture in
      for issuer in ["", "&iss=https%3A%2F%2Fevil.example", "&iss=", "&iss=https%3A%2F%2Fwww.example.com%2F"] {
        let back = try fixture.sentBack(await fixture.callback(try await fixture.start(), "code=c\(issuer)"))
        #expect(back?["error"] == "oauth_failed" && back?["reason"] == "wrong_issuer", "\(issuer)")
      }
      #expect(fixture.platform.received.isEmpty)
      let right = await fixture.callback(try await fixture.start(), "code=c&iss=https%3A%2F%2Fwww.example.com")
      #expect(try fixture.sentBack(right)?["success"] == "true")
    }
  }

  @Test func strangeCallbacksAreRefused() async throws {
    try await Fixture.run { fixture in
      for query in [
        "code=a&code=b", "", "code=", "code=c&error=access_denied", "access_token=t", "code=c&id_token=t",
        "code=c&response=jwt", "code=c&x=1&x=1", "code=\(String(repeating: "c", count: 5_000))",
      ] {
        let back = try fixture.sentBack(await fixture.callback(try await fixture.start(), query))
        #expect(back?["reason"] == "malformed", "\(query.prefix(40))")
      }
      let started = try await fixture.start()
      let twice = await fixture.callback(started, "code=c&state=\(started.state)")
      #expect(twice.status == 400 && twice.headers["location"] == nil)
      for query in ["", "?state=", "?state=unknown&code=c", "?code=c"] {
        let answer = await fixture.browse(.get, Fixture.base + "/callback" + query, started.cookies)
        #expect(answer.status == 400 && answer.headers["location"] == nil)
      }
      #expect(fixture.platform.received.isEmpty)
      #expect(try await fixture.connections() == 1)
    }
  }

  @Test func anOldStateIsRefused() async throws {
    try await Fixture.run { fixture in
      let started = try await fixture.start()
      try await fixture.api.pool.execute("UPDATE oauth_states SET expires_at = now() - interval '1 s'")
      #expect(await fixture.callback(started).status == 400)
      try await fixture.api.services.signIns.endExpired()
      #expect(try await fixture.ends() == ["expired expired"])
      #expect(try await fixture.audits() == 1)
      #expect(fixture.platform.received.isEmpty)
    }
  }

  @Test func whatADeadHostLeftIsEndedAndTheNextTryWorks() async throws {
    try await Fixture.run { fixture in
      _ = try await fixture.start()
      try await fixture.api.pool.execute(
        "UPDATE oauth_states SET used_at = now(), expires_at = now() - interval '6 min'"
      )
      try await fixture.api.services.signIns.endExpired()
      #expect(try await fixture.ends() == ["failed interrupted"])
      #expect(try fixture.sentBack(await fixture.callback(try await fixture.start()))?["success"] == "true")
    }
  }

  /// Nothing that only the browser, the platform and the vault may know is anywhere else.
  @Test func secretsAreNowhereElse() async throws {
    try await Fixture.run { fixture in
      let good = try await fixture.start()
      let answers = [
        await fixture.callback(good), await fixture.callback(good),
        await fixture.callback(try await fixture.start(), "error=access_denied&error_description=canary-words"),
      ]
      fixture.platform.next("POST /token", 400, #"{"error":"canary-code-word","error_description":"canary-words"}"#)
      let refused = await fixture.callback(try await fixture.start())
      let dump = try await fixture.api.pool.query(
        """
        SELECT concat_ws(' ', (SELECT string_agg(t::text, ' ') FROM oauth_states t),
          (SELECT string_agg(t::text, ' ') FROM platform_connections t),
          (SELECT string_agg(t::text, ' ') FROM audit_logs t), (SELECT string_agg(t::text, ' ') FROM outbox t))
        """
      )[0].get(0, as: String.self)
      let shown = (answers + [refused]).map { "\($0.text) \($0.headers.fields.map(\.value))" }.joined()
      let logged = fixture.api.log.records.map { "\($0)" }.joined()
      for secret in ["canary", good.state, String(good.cookies.suffix(43))] {
        #expect(!dump.contains(secret), "database: \(secret)")
        #expect(!shown.contains(secret), "answers: \(secret)")
        if secret == "canary" {
          // The platform's own short word for its refusal is of use to operators.
          #expect(!logged.replacing("canary-code-word", with: "").contains(secret))
        } else {
          #expect(!logged.contains(secret))
        }
      }
    }
  }
}
