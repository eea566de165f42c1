import Cryptography
import FoundationEssentials
import HTTPServer
import Identity
import JSONDocument
import Postgres
import Publishing
import TestSupport
import Testing

@testable import AdminAPI

/// Starting a sign-in: what is asked for, with which application, and where people may go afterwards.
@Suite(.database) struct ConnectRouteTests {
  private typealias Fixture = SignInFixture

  private func connect(_ fixture: Fixture, _ body: String, as role: Role = .admin) async -> TestClient.Answer {
    await fixture.api.send(.post, Fixture.base + "/connect", as: role, json: body)
  }

  @Test func optionalScopesAreAskedForByName() async throws {
    try await Fixture.run { fixture in
      let started = try await fixture.start(#","scopes":["metrics"]"#)
      #expect(started.page.contains("scope=post.write%20offline%20insights&"))
      let answer = await connect(fixture, fixture.connectBody(#","scopes":["everything"]"#))
      #expect(answer.status == 422 && answer.code == "unknown_scopes")
      #expect(answer.json.pointer("/error/message")?.stringValue?.contains("metrics") == true)
      // What was not asked for and not needed does not keep an account from being connected.
      fixture.platform.next(
        "POST /token",
        200,
        #"{"access_token":"a","refresh_token":"r","scope":"offline post.write"}"#
      )
      #expect(try fixture.sentBack(await fixture.callback(started))?["success"] == "true")
    }
  }

  @Test func onlyKnownPlatformsAndAdministrators() async throws {
    try await Fixture.run { fixture in
      let unknown = await fixture.api.send(
        .post,
        "/api/admin/distribution/platforms/nowhere/connect",
        json: fixture.connectBody()
      )
      #expect(unknown.status == 400 && unknown.code == "platform_not_supported")
      #expect(await connect(fixture, fixture.connectBody(), as: .editor).status == 403)
      // The alias is the same platform; its callback is the one of the id.
      let alias = await fixture.api.send(
        .post,
        "/api/admin/distribution/platforms/test/connect",
        json: fixture.connectBody()
      )
      #expect(alias.status == 200)
      let address = alias.json.pointer("/data/authUrl")?.stringValue
      #expect(address?.contains("/platforms/probe/begin?") == true)
    }
  }

  @Test func aPluginWithoutASignInHasNone() async throws {
    try await APIFixture.run { api in
      let answer = await api.send(.post, Fixture.base + "/connect", json: #"{"siteId":\#(api.site),"redirectUrl":"/"}"#)
      #expect(answer.status == 400 && answer.code == "platform_not_supported")
    }
  }

  @Test func returnAddressesAreTheSitesOrOurs() async throws {
    try await Fixture.run { fixture in
      let cms = "https://cms.example/accounts"
      let refused = await connect(fixture, fixture.connectBody(returnTo: cms))
      #expect(refused.status == 422 && refused.field == "redirectUrl")
      let path = "/api/sites/\(fixture.api.site)"
      let body = #"{"returnAddresses":["https://CMS.example:443/accounts"]}"#
      #expect(await fixture.api.send(.put, path, as: .editor, json: body).status == 403)
      let changed = await fixture.api.send(.put, path, as: .admin, json: body)
      #expect(changed.json.pointer("/data/returnAddresses/0")?.stringValue == cms, "\(changed.text)")
      #expect(await connect(fixture, fixture.connectBody(returnTo: cms + "?site=1")).status == 200)
      #expect(await connect(fixture, fixture.connectBody(returnTo: "/accounts?tab=x")).status == 200)
      // Other members of the site leave the list as it is.
      let renamed = await fixture.api.send(.put, path, as: .admin, json: #"{"name":"Renamed"}"#)
      #expect(renamed.json.pointer("/data/returnAddresses/0")?.stringValue == cms)
      for bad in ["http://cms.example/", "https://cms.example/?x=1", "javascript:alert(1)", "//cms.example"] {
        let answer = await fixture.api.send(.put, path, json: #"{"returnAddresses":["\#(bad)"]}"#)
        #expect(answer.status == 422 && answer.field == "returnAddresses", "\(bad)")
      }
      for bad in [
        "//evil.example", "https://evil.example/", "https://rostrum.example.evil.example/", "/\\\\evil.example",
      ] {
        #expect(await connect(fixture, fixture.connectBody(returnTo: bad)).status == 422, "\(bad)")
      }
    }
  }

  @Test func aSiteHasALimit() async throws {
    try await Fixture.run({
      $0.connect.burst = 2; $0.callback.burst = 1
    }) { fixture in
      let first = try await fixture.start()
      let second = try await fixture.start()
      let third = await connect(fixture, fixture.connectBody())
      #expect(third.status == 429)
      #expect(Int(third.headers["retry-after"] ?? "") ?? 0 >= 1)
      #expect(try fixture.sentBack(await fixture.callback(first))?["success"] == "true")
      let limited = await fixture.callback(second)
      #expect(limited.status == 429)
      #expect(limited.headers["retry-after"] != nil)
      // The state was not used up: whoever waits comes in.
      #expect(try await fixture.ends() == ["connected", ""])
      // Another site has its own.
      let other = try await fixture.api.token(.admin, in: fixture.api.otherSite, email: "other@a.example")
      let answer = await fixture.api.send(
        .post,
        Fixture.base + "/connect",
        as: nil,
        json: #"{"siteId":\#(fixture.api.otherSite),"redirectUrl":"/"}"#,
        headers: ["authorization": "Bearer \(other)"]
      )
      #expect(answer.status == 200)
    }
  }

  @Test func aNewNameOfTheSessionIsNotLost() async throws {
    try await Fixture.run { fixture in
      let session = try await fixture.api.cookie(.admin)
      try await fixture.api.pool.execute("UPDATE sessions SET needs_rotation = true")
      let answer = await fixture.browse(.post, Fixture.base + "/connect", session, json: fixture.connectBody())
      let names = answer.headers.all("set-cookie").map { $0.prefix { $0 != "=" } }
      #expect(names.count == 2 && names.contains("__Host-rostrum"), "\(names)")
      let browserCookie = try #require(answer.headers.all("set-cookie").first { $0.contains("connect-") })
      for part in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure", "; Max-Age=600"] {
        #expect(browserCookie.contains(part))
      }
    }
  }

  // MARK: Applications

  @Test func aSitesOwnApplicationIsRemembered() async throws {
    try await Fixture.run { fixture in
      let created = await fixture.api.send(
        .post,
        Fixture.base + "/apps",
        as: .admin,
        json: #"{"name":"Ours","clientId":"own-id","clientSecret":"canary-own"}"#
      )
      let id = try #require(created.json.pointer("/data/id")?.int64Value, "\(created.text)")
      let started = try await fixture.start()
      #expect(started.page.contains("client_id=own-id&"))
      let back = try fixture.sentBack(await fixture.callback(started))
      #expect(back?["success"] == "true")
      let expected = "Basic " + Base64.encode(Array("own-id:canary-own".utf8))
      #expect(fixture.platform.received.first?.authorization == expected)
      let connection = try #require(back?["connectionId"].flatMap { Int64($0) })
      let app: Int64? = try await fixture.api.pool.query(
        "SELECT app_id FROM platform_connections WHERE id = \(connection)"
      )[0].get(0)
      #expect(app == id)
      let list = await fixture.api.get(Fixture.base + "/apps", as: .admin)
      #expect(!list.text.contains("canary"))
      #expect(
        (list.json.pointer("/data")?.arrayValue ?? []).map { $0["clientId"]?.stringValue } == ["own-id", "probe-id"]
      )
      #expect(
        list.json.pointer("/data/0/callbackUrl")?.stringValue == "https://rostrum.example\(Fixture.base)/callback"
      )
      let path = Fixture.base + "/apps/\(id)"
      let inUse = await fixture.api.send(.delete, path, as: .admin)
      #expect(inUse.status == 409 && inUse.code == "app_in_use")
      #expect(await fixture.api.send(.put, path, as: .admin, json: #"{"name":"Renamed"}"#).status == 200)
      let gone = await fixture.api.send(.delete, "/api/admin/distribution/connections/\(connection)")
      #expect(gone.status == 200)
      #expect(await fixture.api.send(.delete, path, as: .admin).status == 200)
      #expect(try await fixture.start().page.contains("client_id=probe-id&"))
      #expect(await fixture.api.send(.get, Fixture.base + "/apps", as: .editor).status == 403)
    }
  }

  @Test func whatIsNotSetIsNamed() async throws {
    try await Fixture.run(settings: [:]) { fixture in
      let answer = await connect(fixture, fixture.connectBody())
      #expect(answer.status == 409 && answer.code == "app_not_configured")
      #expect(answer.json.pointer("/error/message")?.stringValue?.contains("PROBE_ID and PROBE_SECRET") == true)
      let missing = await connect(fixture, fixture.connectBody(#","appId":77"#))
      #expect(missing.status == 404 && missing.code == "app_not_found")
    }
  }

  @Test func aRegisteredCallbackThatIsNotOursIsNamed() async throws {
    try await Fixture.run(settings: ["PROBE_ID": "i", "PROBE_SECRET": "s", "PROBE_CALLBACK": "https://old.example/cb"])
    {
      fixture in
      let answer = await connect(fixture, fixture.connectBody())
      #expect(answer.status == 409 && answer.code == "app_misconfigured")
    }
  }
}
