/// The page on which a person lets an app in, or not. It works without scripts.
enum ConsentPage {
  static func ask(_ request: ConsentRequest, rules: OAuthRules, accounts: [OAuthAccount]) -> HTTPResponse {
    let app = HTML.escape(request.app.name)
    var html = "<h1>\(app) wants to use \(rules.title)</h1>\n"
    guard !accounts.isEmpty else {
      html += "<p>There is no simulated account of \(rules.title) yet. "
      html += "<code>POST /_sandbox/accounts</code> makes one.</p>\n"
      return HTML.page(status: 200, title: "Allow \(request.app.name)?", html)
    }
    html += "<form method=\"post\">\n<article>\n<h2>Account</h2>\n"
    for (index, account) in accounts.enumerated() { html += radio(account, isFirst: index == 0) }
    html += "</article>\n<article>\n<h2>What it may do</h2>\n"
    for scope in request.scopes { html += box(scope, isFixed: rules.fixedScopes.contains(scope)) }
    html += "</article>\n<p class=\"row\">"
    html += "<button name=\"decision\" value=\"allow\">Allow</button> "
    html += "<button class=\"quiet\" name=\"decision\" value=\"deny\">Deny</button></p>\n"
    html += "<p class=\"soft\">You will go back to \(HTML.escape(host(request.redirectAddress))).</p>\n</form>\n"
    return HTML.page(title: "Allow \(request.app.name)?", html)
  }

  static func refusal(_ sentence: String, rules: OAuthRules) -> HTTPResponse {
    HTML.page(
      status: 400,
      title: "Not allowed",
      "<h1>\(rules.title) does not accept this request</h1>\n<p>\(HTML.escape(sentence))</p>\n"
        + "<p class=\"soft\">Nobody was sent back, for the app may be another than it says.</p>\n"
    )
  }

  static func redirect(to address: String) -> HTTPResponse {
    var response = HTTPResponse(status: 302)
    response.set("location", address)
    response.set("cache-control", "no-store")
    return response
  }

  private static func radio(_ account: OAuthAccount, isFirst: Bool) -> String {
    let username = HTML.escape(account.username)
    let checked = isFirst ? " checked" : ""
    var html = "<p><label><input type=\"radio\" name=\"account\" value=\"\(username)\"\(checked)> "
    html += "<b>\(HTML.escape(account.name))</b> <span class=\"soft\">\(username)"
    if let kind = account.kind { html += " · \(HTML.escape(kind.lowercased()))" }
    html += "</span></label></p>\n"
    for place in account.places { html += "<p class=\"soft inner\">\(HTML.escape(place.name))</p>\n" }
    return html
  }

  private static func box(_ scope: String, isFixed: Bool) -> String {
    let name = HTML.escape(scope)
    // A box that cannot be changed is not sent; the server grants such a scope all the same.
    let state = isFixed ? " checked disabled" : " checked"
    return "<p><label><input type=\"checkbox\" name=\"scope\" value=\"\(name)\"\(state)> \(name)</label></p>\n"
  }

  private static func host(_ address: String) -> String {
    let parts = address.split(separator: "/", maxSplits: 2)
    return parts.count > 1 ? String(parts[1].prefix { $0 != "/" && $0 != "?" }) : address
  }
}
