import Cryptography
import OAuth
import PluginManifest
import Testing

/// Pages and requests as the six platforms want them, character by character.
@Suite struct RenderedRequestTests {
  private static let redirect = "https%3A%2F%2Frostrum.example%2Fcb"

  @Test func pages() throws {
    func page(_ declaration: OAuthDeclaration) throws -> String {
      try declaration.authorization.url(Platforms.values(declaration))
    }
    #expect(
      try page(Platforms.x())
        == "https://x.com/i/oauth2/authorize?client_id=id%3A1&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        + "&code_challenge_method=S256&redirect_uri=\(Self.redirect)&response_type=code"
        + "&scope=tweet.write%20offline.access&state=st-ate"
    )
    #expect(try page(Platforms.linkedIn()).contains("scope=openid%20w_member_social&"))
    #expect(try page(Platforms.facebook()).contains("scope=pages_manage_posts%2Cpages_show_list&"))
    #expect(
      try page(Platforms.tiktok())
        == "https://www.tiktok.com/v2/auth/authorize/?client_key=id%3A1"
        + "&code_challenge=13d31e961a1ad8ec2f16b10c4c982e0876a878ad6df144566ee1894acb70f9c3"
        + "&code_challenge_method=S256&redirect_uri=\(Self.redirect)&response_type=code"
        + "&scope=user.info.basic%2Cvideo.publish&state=st-ate"
    )
    #expect(try page(Platforms.mastodon()).hasPrefix("https://social.example:8443/oauth/authorize?client_id="))
  }

  private func request(_ request: OAuthRequest?, _ declaration: OAuthDeclaration) throws -> RenderedRequest {
    try RenderedRequest(#require(request), Platforms.values(declaration))
  }

  private func header(_ name: String, _ request: RenderedRequest) -> String? {
    request.headers.first { $0.0 == name }?.1
  }

  @Test func aClientThatProvesItselfInAHeader() throws {
    let declaration = try Platforms.x()
    let exchange = try request(declaration.exchange.first, declaration)
    #expect(exchange.method == "POST")
    #expect(exchange.address == "https://api.x.com/2/oauth2/token")
    // Both halves are encoded before they are joined (RFC 6749 §2.3.1): a colon in the id is none between them.
    #expect(header("authorization", exchange) == "Basic " + Base64.encode(Array("id%3A1:s%26cret%20%2F%2B".utf8)))
    #expect(header("content-type", exchange) == "application/x-www-form-urlencoded")
    #expect(
      exchange.form
        == "code=c%2Fo%3Dde&code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk&grant_type=authorization_code"
        + "&redirect_uri=\(Self.redirect)"
    )
    let refresh = try request(declaration.refresh?.request, declaration)
    #expect(refresh.form == "grant_type=refresh_token&refresh_token=re%2Bfresh")
  }

  @Test func aClientThatProvesItselfInTheForm() throws {
    for declaration in [try Platforms.linkedIn(), try Platforms.instagram(), try Platforms.threads()] {
      let exchange = try request(declaration.exchange.first, declaration)
      #expect(header("authorization", exchange) == nil)
      #expect(
        exchange.form
          == "client_id=id%3A1&client_secret=s%26cret%20%2F%2B&code=c%2Fo%3Dde&grant_type=authorization_code"
          + "&redirect_uri=\(Self.redirect)"
      )
    }
    let tiktok = try Platforms.tiktok()
    #expect(try request(tiktok.exchange.first, tiktok).form?.hasPrefix("client_key=id%3A1&client_secret=") == true)
    #expect(
      try request(tiktok.revoke.first, tiktok).form
        == "client_key=id%3A1&client_secret=s%26cret%20%2F%2B&token=to.ken"
    )
  }

  @Test func parametersInTheQuery() throws {
    let facebook = try Platforms.facebook()
    let exchange = try request(facebook.exchange.first, facebook)
    #expect(exchange.method == "GET" && exchange.form == nil)
    #expect(
      exchange.address
        == "https://graph.facebook.com/v26.0/oauth/access_token?client_id=id%3A1&client_secret=s%26cret%20%2F%2B"
        + "&code=c%2Fo%3Dde&redirect_uri=\(Self.redirect)"
    )
    #expect(try request(facebook.exchange.last, facebook).address.contains("&fb_exchange_token=to.ken&"))
    let instagram = try Platforms.instagram()
    #expect(
      try request(instagram.refresh?.request, instagram).address
        == "https://graph.instagram.com/refresh_access_token?access_token=to.ken&grant_type=ig_refresh_token"
    )
  }

  @Test func theTokenInAHeader() throws {
    let facebook = try Platforms.facebook()
    let revoke = try request(facebook.revoke.first, facebook)
    #expect(revoke.method == "DELETE" && revoke.form == nil)
    #expect(revoke.address == "https://graph.facebook.com/v26.0/me/permissions")
    #expect(header("authorization", revoke) == "Bearer to.ken")
    let accounts = try #require(facebook.accounts)
    let page = try RenderedRequest(accounts.request, Platforms.values(facebook), adding: [("after", "a b")])
    #expect(page.address.hasSuffix("?fields=id%2Cname%2Cusername%2Caccess_token%2Ctasks&after=a%20b"))
  }

  @Test func theServerOfTheAccount() throws {
    let mastodon = try Platforms.mastodon()
    #expect(try request(mastodon.exchange.first, mastodon).address == "https://social.example:8443/oauth/token")
    var values = Platforms.values(mastodon)
    values.origin = nil
    let exchange = try #require(mastodon.exchange.first)
    #expect(throws: OAuthError.missing("the server of the account")) { try RenderedRequest(exchange, values) }
  }

  @Test func whatIsNotThereIsNotSentAsNothing() throws {
    let declaration = try Platforms.x()
    var values = Platforms.values(declaration)
    values.clientSecret = nil
    let exchange = try #require(declaration.exchange.first)
    #expect(throws: OAuthError.missing("{client.secret}")) { try RenderedRequest(exchange, values) }
    values = Platforms.values(declaration)
    values.refreshToken = Secret("")
    let refresh = try #require(declaration.refresh?.request)
    #expect(throws: OAuthError.missing("{refresh}")) { try RenderedRequest(refresh, values) }
  }

  @Test func nothingOfItIsShown() throws {
    let declaration = try Platforms.linkedIn()
    let exchange = try request(declaration.exchange.first, declaration)
    var text = ""
    dump(exchange, to: &text)
    #expect("\(exchange) \(String(reflecting: exchange)) \(text)".contains("s%26cret") == false)
  }
}
