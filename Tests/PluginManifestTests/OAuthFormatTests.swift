import PluginManifest
import Testing

/// The member `oauth`: what is read, and what is refused with its place.
@Suite struct OAuthFormatTests {
  @Test func everythingIsRead() throws {
    let manifest = try PluginManifest.parse(Array(ManifestSample.text.utf8))
    let oauth = try #require(manifest.oauth)
    #expect(oauth.secret == "access")
    #expect(oauth.application.clientID == "SAMPLE_CLIENT_ID")
    #expect(oauth.application.clientSecret == "SAMPLE_CLIENT_SECRET")
    #expect(oauth.application.callback == "SAMPLE_CALLBACK_URL")
    #expect(oauth.authorization.address == "https://www.example.com/oauth/authorize/")
    #expect(oauth.authorization.parameters["client_key"] == .place(.clientID))
    #expect(oauth.authorization.parameters["prompt"] == .text("consent"))
    #expect(oauth.usesProofKey)
    #expect(oauth.scopeSeparator == ",")
    #expect(oauth.scopes.map(\.isRequired) == [true, false])
    #expect(oauth.scopes.first?.scopes == ["post.write", "user:read"])
    #expect(oauth.scopes.last?.reason == "Shows how posts do")
    #expect(oauth.exchange.map(\.method) == [.post, .get])
    #expect(oauth.exchange.first?.answer.accessToken == ["/data/0/access_token"])
    #expect(oauth.exchange.first?.answer.scope == ["/data/0/permissions"])
    #expect(oauth.exchange.last?.answer == OAuthAnswerShape())
    let refresh = try #require(oauth.refresh)
    #expect(refresh.request.authentication == .basic)
    #expect(refresh.request.answer.accessToken == ["/token"])
    #expect(refresh.rotation == .grace)
    #expect(refresh.grace == .seconds(60))
    #expect(refresh.minimumAge == .seconds(86_400))
    #expect(refresh.lifetime == .seconds(7_200))
    #expect(refresh.needsRefreshToken)
    #expect(oauth.revoke.map(\.authentication) == [.bearer])
    let accounts = try #require(oauth.accounts)
    #expect([accounts.each, accounts.id, accounts.name] == ["/data", "/urn", "/title"])
    #expect([accounts.handle, accounts.token] == ["/username", "/access_token"])
    #expect(accounts.needs?.anyOf == ["CREATE", "MANAGE"])
    #expect(accounts.next?.parameter == "after")
    let dead = try #require(oauth.dead.first)
    #expect(dead.statuses == [400, 401] && dead.pointer == "/error/code" && dead.values == ["190"])
    #expect(oauth.issuer == "https://www.example.com")
    #expect(
      oauth.addresses == [
        "https://api.example.com/me/accounts", "https://api.example.com/oauth/grant",
        "https://api.example.com/oauth/token", "https://graph.example.com/access_token",
        "https://www.example.com/oauth/authorize/", "{origin}/oauth/token",
      ]
    )
  }

  @Test func theXManifestDescribesItsSignIn() throws {
    let manifest = try #require(try ManifestStore.load(PluginManifestTests.bundled).manifests.first { $0.id == "x" })
    let oauth = try #require(manifest.oauth)
    #expect(oauth.usesProofKey)
    #expect(oauth.refresh?.rotation == .strict)
    #expect(oauth.exchange.map(\.authentication) == [.basic])
    #expect(oauth.scopes.filter(\.isRequired).flatMap(\.scopes).contains("offline.access"))
  }

  private static let refusals: [ManifestSample.Refusal] = [
    .init(#""source": "oauth""#, #""source": "entered""#, "oauth"),
    .init(#""source": "entered"}"#, #""source": "oauth"}"#, "oauth"),
    .init(#""oauth": {"#, #""authorisation": {"#, "oauth"),
    .init(#"{"id": "SAMPLE_CLIENT_ID","#, #"{"id": "OTHER_CLIENT_ID","#, "oauth.application.id"),
    .init(#", "secret": "SAMPLE_CLIENT_SECRET""#, "", "oauth.application.secret"),
    .init(#""callback": "SAMPLE_CALLBACK_URL"}"#, #""callback": "HOME"}"#, "oauth.application.callback"),
    .init(#""url": "https://www.example.com/oauth"#, #""url": "http://www.example.com/oauth"#, "oauth.authorize.url"),
    .init(#"/oauth/authorize/""#, #"/oauth/../authorize/""#, "oauth.authorize.url"),
    .init(#"/oauth/authorize/""#, #"/oauth//authorize/""#, "oauth.authorize.url"),
    .init(#"/oauth/authorize/""#, #"/oauth/authorize?a=b""#, "oauth.authorize.url"),
    .init(#"/oauth/authorize/""#, #"/oauth/%61uthorize""#, "oauth.authorize.url"),
    .init("https://www.example.com/oauth", "https://10.0.0.1/oauth", "oauth.authorize.url"),
    .init("https://www.example.com/oauth", "https://me@www.example.com/oauth", "oauth.authorize.url"),
    .init("{origin}/oauth/token", "{server}/oauth/token", "oauth.exchange[0].url"),
    .init("{origin}/oauth/token", "{origin}.example.com/token", "oauth.exchange[0].url"),
    .init(#""state": "{state}", "#, "", "oauth.authorize.parameters"),
    .init(#""redirect_uri": "{redirect}", "state""#, #""state""#, "oauth.authorize.parameters"),
    .init(#""{state}""#, #""{stat}""#, "oauth.authorize.parameters.state"),
    .init(#""{state}""#, #""{code}""#, "oauth.authorize.parameters.state"),
    .init(#""prompt": "consent""#, #""pro mpt": "consent""#, "oauth.authorize.parameters.pro mpt"),
    .init(#""prompt": "consent""#, #""prompt": 1"#, "oauth.authorize.parameters.prompt"),
    .init(#""prompt": "consent""#, #""prompt": "a {state}""#, "oauth.authorize.parameters.prompt"),
    .init(#""scopeSeparator": ",""#, #""scopeSeparator": ";""#, "oauth.scopeSeparator"),
    .init(#""post.write""#, #""post write""#, "oauth.scopes[0].scopes[0]"),
    .init(#""required": true, "scopes": ["post"#, #""scopes": ["post"#, "oauth.scopes"),
    .init(#""reason": "Shows how posts do", "#, "", "oauth.scopes[1].reason"),
    .init(#""name": "metrics""#, #""name": "publish""#, "oauth.scopes[1].name"),
    .init(#""code": "{code}","#, "", "oauth.exchange[0]"),
    .init(#", "access_token": "{token}""#, "", "oauth.exchange[1]"),
    .init(#""access_token": "{token}""#, #""access_token": "{token}", "code": "{code}""#, "oauth.exchange[1]"),
    .init(#", "code_verifier": "{verifier}""#, "", "oauth.exchange"),
    .init(#""accessToken": ["/data"#, #""accessToken": ["data"#, "oauth.exchange[0].answer.accessToken[0]"),
    .init(#""accessToken": ["/data"#, #""idToken": ["/data"#, "oauth.exchange[0].answer.idToken"),
    .init(#""authentication": "basic""#, #""authentication": "digest""#, "oauth.refresh.request.authentication"),
    .init(#""refresh_token": "{refresh}""#, #""a": "b""#, "oauth.refresh.request"),
    .init(#""rotation": "grace""#, #""rotation": "strict""#, "oauth.refresh.graceMs"),
    .init(#""graceMs": 60000, "#, "", "oauth.refresh.graceMs"),
    .init(#""lifetimeMs": 7200000"#, #""lifetimeMs": 1"#, "oauth.refresh.lifetimeMs"),
    .init(#""method": "DELETE", "url""#, #""method": "PATCH", "url""#, "oauth.revoke[0].method"),
    .init(#"/me/accounts", "authentication": "bearer""#, #"/me/accounts""#, "oauth.accounts.request"),
    .init(
      #""url": "https://api.example.com/oauth/grant","#,
      #""url": "https://api.example.com/oauth/grant", "answer": {},"#,
      "oauth.revoke[0].answer"
    ),
    .init(#""each": "/data""#, #""each": "data""#, "oauth.accounts.each"),
    .init(#""needs": {"pointer": "/tasks", "#, #""needs": {"#, "oauth.accounts.needs.pointer"),
    .init(#", "parameter": "after""#, "", "oauth.accounts.next.parameter"),
    .init(#""status": [400, 401]"#, #""status": [500]"#, "oauth.dead[0].status[0]"),
    .init(#""values": ["190"]"#, #""values": [190]"#, "oauth.dead[0].values[0]"),
    .init(#""issuer": "https://www.example.com""#, #""issuer": "http://www.example.com""#, "oauth.issuer"),
    .init(#""issuer": "https://"#, #""isuer": "https://"#, "oauth.isuer"),
  ]

  @Test(arguments: refusals)
  func everyProblemNamesItsPlace(_ refusal: ManifestSample.Refusal) {
    let error = ManifestSample.error { $0.replacing(refusal.text, with: refusal.replacement) }
    #expect(error.problems.contains { $0.path.hasSuffix(refusal.path) }, "\(refusal): \(error)")
  }

  @Test func aServerNeedsAFieldThatNamesIt() {
    let error = ManifestSample.error {
      $0.replacing(
        #""name": "origin", "label": "Server", "type": "origin""#,
        with: #""name": "other", "label": "Server", "type": "string""#
      )
    }
    #expect(error.problems.contains { $0.path == "oauth.exchange[0].url" }, "\(error)")
  }
}
