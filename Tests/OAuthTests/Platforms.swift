import Cryptography
import JSONDocument
import OAuth
import PluginManifest
import Testing

/// The sign-ins of six platforms, as their documentation has them.
enum Platforms {
  static func declaration(_ oauth: String) throws -> OAuthDeclaration { try #require(try manifest(oauth).oauth) }

  static func manifest(_ oauth: String) throws -> PluginManifest {
    let text = #"""
      {"schema": "rostrum-plugin/1", "id": "sample", "name": "Sample", "kind": "platform", "version": "1.0.0",
       "description": "A sample.", "license": "Apache-2.0", "protocol": {"min": "1.0", "max": "1.0"},
       "executable": "plugin-sample",
       "configuration": [{"name": "ID", "label": "ID"}, {"name": "SECRET", "label": "Secret", "secret": true},
                         {"name": "CALLBACK", "label": "Callback"}],
       "methods": ["account/capabilities", "account/identify", "post/publish", "post/render", "post/validate"],
       "secrets": {"token": {"label": "Token", "source": "oauth"}}, "oauth": \#(oauth),
       "account": {"fields": [{"name": "origin", "label": "Server", "type": "origin"}]}, "egress": [],
       "reconcile": {"absence": "never", "settleMs": 0}, "rateLimits": [],
       "limits": {"inFlight": 1, "memoryMiB": 64, "startMs": 5000, "callMs": 60000}}
      """#
    return try PluginManifest.parse(Array(text.utf8))
  }

  private static let application = #""application": {"id": "ID", "secret": "SECRET"}"#

  private static func scopes(_ names: String...) -> String {
    let list = names.map { "\"\($0)\"" }.joined(separator: ",")
    return #""scopes": [{"name": "publish", "label": "Publish", "required": true, "scopes": [\#(list)]}]"#
  }

  static func x() throws -> OAuthDeclaration { try declaration(xText) }

  static let xText =
    #"""
    {\#(application), \#(scopes("tweet.write", "offline.access")),
     "authorize": {"url": "https://x.com/i/oauth2/authorize", "parameters": {
       "response_type": "code", "client_id": "{client.id}", "redirect_uri": "{redirect}", "scope": "{scope}",
       "state": "{state}", "code_challenge": "{challenge}", "code_challenge_method": "S256"}},
     "exchange": [{"method": "POST", "url": "https://api.x.com/2/oauth2/token", "authentication": "basic",
       "parameters": {"grant_type": "authorization_code", "code": "{code}", "redirect_uri": "{redirect}",
                      "code_verifier": "{verifier}"}}],
     "refresh": {"request": {"method": "POST", "url": "https://api.x.com/2/oauth2/token", "authentication": "basic",
       "parameters": {"grant_type": "refresh_token", "refresh_token": "{refresh}"}}, "rotation": "strict",
       "needsRefreshToken": true, "lifetimeMs": 7200000},
     "dead": [{"status": [400], "pointer": "/error_description",
               "values": ["Value passed for the token was invalid."]}]}
    """#

  static func linkedIn() throws -> OAuthDeclaration {
    try declaration(
      #"""
      {\#(application), \#(scopes("openid", "w_member_social")),
       "authorize": {"url": "https://www.linkedin.com/oauth/v2/authorization", "parameters": {
         "response_type": "code", "client_id": "{client.id}", "redirect_uri": "{redirect}", "scope": "{scope}",
         "state": "{state}"}},
       "exchange": [{"method": "POST", "url": "https://www.linkedin.com/oauth/v2/accessToken",
         "parameters": {"grant_type": "authorization_code", "code": "{code}", "redirect_uri": "{redirect}",
                        "client_id": "{client.id}", "client_secret": "{client.secret}"}}],
       "refresh": {"request": {"method": "POST", "url": "https://www.linkedin.com/oauth/v2/accessToken",
         "parameters": {"grant_type": "refresh_token", "refresh_token": "{refresh}", "client_id": "{client.id}",
                        "client_secret": "{client.secret}"}}, "rotation": "none"}}
      """#
    )
  }

  static func facebook() throws -> OAuthDeclaration {
    try declaration(
      #"""
      {\#(application), \#(scopes("pages_manage_posts", "pages_show_list")), "scopeSeparator": ",",
       "authorize": {"url": "https://www.facebook.com/v26.0/dialog/oauth", "parameters": {
         "client_id": "{client.id}", "redirect_uri": "{redirect}", "scope": "{scope}", "state": "{state}"}},
       "exchange": [
         {"method": "GET", "url": "https://graph.facebook.com/v26.0/oauth/access_token", "parameters": {
           "client_id": "{client.id}", "client_secret": "{client.secret}", "redirect_uri": "{redirect}",
           "code": "{code}"}},
         {"method": "GET", "url": "https://graph.facebook.com/v26.0/oauth/access_token", "parameters": {
           "grant_type": "fb_exchange_token", "client_id": "{client.id}", "client_secret": "{client.secret}",
           "fb_exchange_token": "{token}"}}],
       "revoke": [{"method": "DELETE", "url": "https://graph.facebook.com/v26.0/me/permissions",
                   "authentication": "bearer"}],
       "accounts": {"request": {"method": "GET", "url": "https://graph.facebook.com/v26.0/me/accounts",
           "authentication": "bearer", "parameters": {"fields": "id,name,username,access_token,tasks"}},
         "each": "/data", "handle": "/username", "token": "/access_token",
         "needs": {"pointer": "/tasks", "anyOf": ["CREATE_CONTENT", "MANAGE"]},
         "next": {"pointer": "/paging/cursors/after", "parameter": "after"}},
       "dead": [{"pointer": "/error/code", "values": ["190"]}]}
      """#
    )
  }

  static func instagram() throws -> OAuthDeclaration {
    try declaration(
      #"""
      {\#(application), \#(scopes("instagram_business_basic", "instagram_business_content_publish")),
       "scopeSeparator": ",",
       "authorize": {"url": "https://www.instagram.com/oauth/authorize", "parameters": {
         "client_id": "{client.id}", "redirect_uri": "{redirect}", "scope": "{scope}", "state": "{state}",
         "response_type": "code"}},
       "exchange": [
         {"method": "POST", "url": "https://api.instagram.com/oauth/access_token", "parameters": {
           "client_id": "{client.id}", "client_secret": "{client.secret}", "grant_type": "authorization_code",
           "redirect_uri": "{redirect}", "code": "{code}"},
          "answer": {"accessToken": ["/data/0/access_token", "/access_token"],
                     "scope": ["/data/0/permissions", "/permissions"]}},
         {"method": "GET", "url": "https://graph.instagram.com/access_token", "parameters": {
           "grant_type": "ig_exchange_token", "client_secret": "{client.secret}", "access_token": "{token}"}}],
       "refresh": {"request": {"method": "GET", "url": "https://graph.instagram.com/refresh_access_token",
         "parameters": {"grant_type": "ig_refresh_token", "access_token": "{token}"}}, "rotation": "none",
         "minimumAgeMs": 86400000}}
      """#
    )
  }

  static func threads() throws -> OAuthDeclaration {
    try declaration(
      #"""
      {\#(application), \#(scopes("threads_basic", "threads_content_publish")), "scopeSeparator": ",",
       "authorize": {"url": "https://threads.net/oauth/authorize", "parameters": {
         "client_id": "{client.id}", "redirect_uri": "{redirect}", "scope": "{scope}", "state": "{state}",
         "response_type": "code"}},
       "exchange": [
         {"method": "POST", "url": "https://graph.threads.net/oauth/access_token", "parameters": {
           "client_id": "{client.id}", "client_secret": "{client.secret}", "grant_type": "authorization_code",
           "redirect_uri": "{redirect}", "code": "{code}"}},
         {"method": "GET", "url": "https://graph.threads.net/access_token", "parameters": {
           "grant_type": "th_exchange_token", "client_secret": "{client.secret}", "access_token": "{token}"}}]}
      """#
    )
  }

  static func tiktok() throws -> OAuthDeclaration {
    try declaration(
      #"""
      {\#(application), \#(scopes("user.info.basic", "video.publish")), "scopeSeparator": ",",
       "authorize": {"url": "https://www.tiktok.com/v2/auth/authorize/", "parameters": {
         "client_key": "{client.id}", "redirect_uri": "{redirect}", "scope": "{scope}", "state": "{state}",
         "response_type": "code", "code_challenge": "{challenge.hex}", "code_challenge_method": "S256"}},
       "exchange": [{"method": "POST", "url": "https://open.tiktokapis.com/v2/oauth/token/", "parameters": {
         "client_key": "{client.id}", "client_secret": "{client.secret}", "code": "{code}",
         "grant_type": "authorization_code", "redirect_uri": "{redirect}", "code_verifier": "{verifier}"}}],
       "revoke": [{"method": "POST", "url": "https://open.tiktokapis.com/v2/oauth/revoke/", "parameters": {
         "client_key": "{client.id}", "client_secret": "{client.secret}", "token": "{token}"}}]}
      """#
    )
  }

  static func mastodon() throws -> OAuthDeclaration {
    try declaration(
      #"""
      {\#(application), \#(scopes("read", "write")),
       "authorize": {"url": "{origin}/oauth/authorize", "parameters": {
         "client_id": "{client.id}", "redirect_uri": "{redirect}", "scope": "{scope}", "state": "{state}",
         "response_type": "code"}},
       "exchange": [{"method": "POST", "url": "{origin}/oauth/token", "parameters": {
         "client_id": "{client.id}", "client_secret": "{client.secret}", "code": "{code}",
         "grant_type": "authorization_code", "redirect_uri": "{redirect}"}}]}
      """#
    )
  }

  /// Values whose characters need encoding everywhere.
  static func values(_ declaration: OAuthDeclaration) -> OAuthValues {
    var values = OAuthValues(
      clientID: "id:1",
      clientSecret: Secret("s&cret /+"),
      redirect: "https://rostrum.example/cb",
      origin: "https://social.example:8443"
    )
    values.state = "st-ate"
    values.scope = declaration.scopes.flatMap(\.scopes).joined(separator: declaration.scopeSeparator)
    values.proof = ProofKey(verifier: Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"))
    values.code = Secret("c/o=de")
    values.token = Secret("to.ken")
    values.refreshToken = Secret("re+fresh")
    return values
  }
}
