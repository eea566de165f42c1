import Connecting
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

/// How sign-ins end: what people are told, what is counted, and what is kept.
@Suite(.database) struct SignInEndTests {
  private typealias Fixture = SignInFixture

  private func back(
    _ fixture: Fixture,
    _ query: String = "code=c",
    _ more: String = ""
  ) async throws -> [String: String] {
    let answer = await fixture.callback(try await fixture.start(more), query)
    return try #require(try fixture.sentBack(answer), "\(answer.status) \(answer.text)")
  }

  @Test func eachEndHasItsOwnWord() async throws {
    try await Fixture.run({
      $0.connect.burst = 100; $0.callback.burst = 100
    }) { fixture in
      for (query, error, reason) in [
        ("error=access_denied", "oauth_denied", "denied"),
        ("error=user_cancelled_authorize&error_description=%3Cscript%3E", "oauth_denied", "denied"),
        ("error=x&error_reason=user_denied", "oauth_denied", "denied"),
        ("error=invalid_scope", "oauth_failed", "platform_error"),
        ("error=server_error", "platform_unavailable", "unavailable"),
        ("error=temporarily_unavailable", "platform_unavailable", "unavailable"),
      ] {
        let back = try await back(fixture, query)
        #expect(back["error"] == error && back["reason"] == reason, "\(query)")
        #expect(Set(back.keys) == ["error", "reason", "signIn"])
      }
      #expect(fixture.platform.received.isEmpty)
      for (status, body, error, reason) in [
        (400, #"{"error":"invalid_grant"}"#, "oauth_failed", "code_refused"),
        (400, #"{"error":"invalid_request"}"#, "oauth_failed", "code_refused"),
        (200, #"{"error":"invalid_grant"}"#, "oauth_failed", "code_refused"),
        (401, #"{"error":"invalid_client"}"#, "oauth_failed", "application"),
        (500, "", "platform_unavailable", "unavailable"),
        (502, "<html>", "platform_unavailable", "unavailable"),
        (429, "{}", "platform_unavailable", "unavailable"),
        (302, "", "platform_unavailable", "unavailable"),
        (200, "<html>", "platform_unavailable", "unavailable"),
        (200, String(repeating: "x", count: 100_000), "platform_unavailable", "unavailable"),
        (200, #"{"access_token":"a","refresh_token":"r","scope":"offline"}"#, "oauth_failed", "scopes_missing"),
        (200, #"{"access_token":"a","refresh_token":"r","scope":""}"#, "oauth_failed", "scopes_missing"),
        (200, #"{"access_token":"a","scope":"post.write offline"}"#, "oauth_failed", "no_refresh_token"),
        (200, #"{"access_token":"a","refresh_token":""}"#, "oauth_failed", "no_refresh_token"),
      ] {
        fixture.platform.next("POST /token", status, body)
        let back = try await back(fixture)
        #expect(back["error"] == error && back["reason"] == reason, "\(status) \(body.prefix(60))")
      }
      // Redirects are not followed, and nothing is sent twice.
      #expect(fixture.platform.received.allSatisfy { $0.call == "POST /token" })
      #expect(fixture.platform.received.count == 14)
      #expect(try await fixture.connections() == 1)
      #expect(try await fixture.audits() == 20)

      // The scopes that an answer leaves out are those that were asked for.
      fixture.platform.next("POST /token", 200, #"{"access_token":"a","refresh_token":"r"}"#)
      #expect(try await back(fixture)["success"] == "true")
      let summary = await fixture.api.get(Fixture.base + "/sign-ins")
      #expect(summary.json.pointer("/data/outcomes/denied")?.int64Value == 3)
      #expect(summary.json.pointer("/data/outcomes/failed")?.int64Value == 17)
      #expect(summary.json.pointer("/data/outcomes/connected")?.int64Value == 1)
      #expect(summary.json.pointer("/data/reasons/scopes_missing")?.int64Value == 2)
      #expect(summary.json.pointer("/data/successRate")?.doubleValue == 1.0 / 18)
    }
  }

  @Test func theAdaptersOwnWordsReachThePerson() async throws {
    try await Fixture.run { fixture in
      try fixture.identify(
        #""error":{"code":-32603,"message":"personal","data":{"kind":"account","retry":"userFix","userMessage":"This is a personal account. Switch to a business account first."}}"#
      )
      let back = try await back(fixture)
      #expect(back["error"] == "oauth_failed" && back["reason"] == "account_not_usable")
      let id = try #require(back["signIn"])
      let state = await fixture.api.get("/api/admin/distribution/sign-ins/\(id)", as: .admin)
      #expect(state.json.pointer("/data/outcome")?.stringValue == "failed")
      #expect(state.json.pointer("/data/message")?.stringValue?.contains("Switch to a business account") == true)
      #expect(state.json.pointer("/data/text")?.stringValue == SignInReason.accountNotUsable.text)
      // It is the business of whoever started it.
      #expect(await fixture.api.get("/api/admin/distribution/sign-ins/\(id)", as: .owner).status == 404)
      #expect(try await fixture.connections() == 1)
    }
  }

  // MARK: The same account

  @Test func anAccountOfAnotherSiteIsRefused() async throws {
    try await Fixture.run { fixture in
      _ = try await fixture.api.connect("taken", site: fixture.api.otherSite)
      try fixture.identify(#""result":{"id":"taken","name":"Taken"}"#)
      #expect(try await back(fixture)["reason"] == "account_taken")
    }
  }

  @Test func connectingAgainKeepsTheConnection() async throws {
    try await Fixture.run { fixture in
      let id = fixture.api.connection
      try await fixture.api.pool.execute("UPDATE platform_connections SET status = 'expired' WHERE id = \(id)")
      let again = #","connectionId":\#(id)"#
      #expect(try await back(fixture, "code=c", again)["reason"] == "another_account")
      try fixture.identify(#""result":{"id":"acc","name":"Account"}"#)
      let back = try await back(fixture, "code=c", again)
      #expect(back["success"] == "true" && back["connectionId"] == "\(id)")
      let row = try await fixture.api.pool.query(
        "SELECT status, generation, renew_at IS NOT NULL AS renews FROM platform_connections WHERE id = \(id)"
      )[0]
      #expect(try row.get("status", as: String.self) == "active")
      #expect(try row.get("generation", as: Int64.self) == 2)
      #expect(try row.get("renews", as: Bool.self))
      #expect(try await fixture.connections() == 1)
      let missing = await fixture.api.send(
        .post,
        Fixture.base + "/connect",
        json: fixture.connectBody(#","connectionId":999999"#)
      )
      #expect(missing.status == 404 && missing.code == "connection_not_found")
    }
  }

  // MARK: Several accounts

  private static let pages = #"""
    {"data": [{"id": "page-1", "name": "One", "access_token": "canary-1", "tasks": ["MANAGE"]},
              {"id": "page-2", "name": "Two", "access_token": "canary-2", "tasks": ["ANALYZE"]}], "after": "m"}
    """#
  private static let more =
    #"{"data": [{"id": "page-3", "name": "Three", "access_token": "canary-3", "tasks": ["MANAGE"]}]}"#

  @Test func oneOfSeveralAccountsIsChosen() async throws {
    try await Fixture.run(more: Fixture.accounts) { fixture in
      fixture.platform.next("GET /accounts", 200, Self.pages)
      fixture.platform.next("GET /accounts", 200, Self.more)
      let back = try await back(fixture)
      let id = try #require(back["choose"])
      #expect(Set(back.keys) == ["choose"])
      let asked = fixture.platform.received.filter { $0.call == "GET /accounts" }
      #expect(asked.map { $0.form["after"] } == [nil, "m"])
      #expect(asked.allSatisfy { $0.authorization == "Bearer canary-access" })
      let path = "/api/admin/distribution/sign-ins/\(id)"
      let choices = await fixture.api.get(path, as: .admin)
      #expect(!choices.text.contains("canary"))
      #expect(choices.json.pointer("/data/outcome")?.isNull == true)
      #expect(
        (choices.json.pointer("/data/accounts")?.arrayValue ?? []).map { $0["isUsable"]?.boolValue }
          == [true, false, true]
      )
      let dump: String = try await fixture.api.pool.query("SELECT string_agg(t::text, ' ') FROM oauth_states t")[0].get(
        0
      )
      #expect(!dump.contains("canary"))

      #expect(await fixture.api.send(.post, path, as: .owner, json: #"{"accounts":["page-1"]}"#).status == 409)
      for wrong in ["page-2", "page-9"] {
        let answer = await fixture.api.send(.post, path, as: .admin, json: #"{"accounts":["\#(wrong)"]}"#)
        #expect(answer.status == 422 && answer.code == "unknown_account")
      }
      let chosen = await fixture.api.send(.post, path, as: .admin, json: #"{"accounts":["page-3","page-1","page-3"]}"#)
      let rows = chosen.json.pointer("/data")?.arrayValue ?? []
      #expect(rows.map { $0["id"]?.stringValue } == ["page-3", "page-1"], "\(chosen.text)")
      let connection = try #require(rows.first?["connectionId"]?.int64Value)
      let account = try await fixture.api.account(connection)
      #expect(account.accountID == "page-3")
      #expect(account.secrets["token"]?.revealText() == "canary-3")
      #expect(account.secrets[CredentialGrant.userToken]?.revealText() == "canary-access")
      #expect(try await fixture.connections() == 3)
      #expect(try await fixture.ends() == ["connected"])
      #expect(try await fixture.audits() == 1)
      // What it gave is gone.
      #expect(
        await fixture.api.send(.post, path, as: .admin, json: #"{"accounts":["page-1"]}"#).code == "nothing_to_choose"
      )
      let sealed: Int = try await fixture.api.pool.query("SELECT max(octet_length(sealed)) FROM oauth_states")[0].get(0)
      #expect(sealed == 0)
    }
  }

  @Test func oneUsableAccountNeedsNoChoice() async throws {
    try await Fixture.run(more: Fixture.accounts) { fixture in
      fixture.platform.next("GET /accounts", 200, Self.more)
      let connected = try await back(fixture)
      #expect(connected["success"] == "true")
      fixture.platform.next("GET /accounts", 200, #"{"data": []}"#)
      #expect(try await back(fixture)["reason"] == "no_account")
      for (status, reason) in [(500, "unavailable"), (401, "token_refused"), (200, "unavailable")] {
        fixture.platform.next("GET /accounts", status, "<html>")
        #expect(try await back(fixture)["reason"] == reason)
      }
    }
  }

  @Test func aChoiceThatNobodyMakesIsWiped() async throws {
    try await Fixture.run(more: Fixture.accounts) { fixture in
      fixture.platform.next("GET /accounts", 200, Self.pages.replacing(#""ANALYZE""#, with: #""MANAGE""#))
      fixture.platform.next("GET /accounts", 200, Self.more)
      let id = try #require(try await back(fixture)["choose"])
      try await fixture.api.pool.execute("UPDATE oauth_states SET expires_at = now() - interval '1 s'")
      let path = "/api/admin/distribution/sign-ins/\(id)"
      #expect(await fixture.api.send(.post, path, as: .admin, json: #"{"accounts":["page-1"]}"#).status == 409)
      try await fixture.api.services.signIns.endExpired()
      #expect(try await fixture.ends() == ["expired expired"])
      let sealed: Int = try await fixture.api.pool.query("SELECT max(octet_length(sealed)) FROM oauth_states")[0].get(0)
      #expect(sealed == 0)
    }
  }
}
