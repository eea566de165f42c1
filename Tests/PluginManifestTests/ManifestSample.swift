import PluginManifest
import Testing

/// A manifest that uses every part of the format, and ways to spoil it.
enum ManifestSample {
  struct Refusal: Sendable, CustomTestStringConvertible {
    /// What is replaced; must stand in the sample.
    let text: String
    let replacement: String
    /// End of the path that must be named.
    let path: String

    init(_ text: String, _ replacement: String, _ path: String) {
      self.text = text
      self.replacement = replacement
      self.path = path
    }

    var testDescription: String { "\(path) \(replacement)" }
  }

  /// Parses a changed sample, which must fail.
  static func error(_ change: (String) -> String) -> ManifestError {
    let changed = change(text)
    if changed == text { Issue.record("the change does not touch the sample") }
    do throws(ManifestError) {
      _ = try PluginManifest.parse(Array(changed.utf8))
      return ManifestError(problems: [])
    } catch {
      return error
    }
  }

  static let refusals: [Refusal] = [
    Refusal(#""rostrum-plugin/1""#, #""rostrum-plugin/2""#, "schema"),
    Refusal(#""specimen""#, #""sample""#, "aliases"),
    Refusal(#""kind": "platform""#, #""kind": "database""#, "kind"),
    Refusal(#""1.2.3-beta.1""#, #""1.2""#, "version"),
    Refusal(#""1.2.3-beta.1""#, #""01.2.3""#, "version"),
    Refusal(#""max": "1.4""#, #""max": "0.9""#, "protocol.max"),
    Refusal(#""plugin-sample""#, #""../plugin-sample""#, "executable"),
    Refusal(#""plugin-sample","#, #""-rf","#, "executable"),
    Refusal("key:ed25519:AAAA", "key:rsa:AAAAAAAA", "publisher"),
    Refusal("key:ed25519:AAAA", "key:ed25519:AA+/", "publisher"),
    Refusal(#""arch": "x86_64""#, #""arch": "z80""#, "artifacts[0].arch"),
    Refusal(#""entry": "bin/plugin-sample""#, #""entry": "../plugin-sample""#, "artifacts[0].entry"),
    Refusal(#""entry": "bin/plugin-sample""#, #""entry": "share/words""#, "artifacts[0].entry"),
    Refusal(#""entry": "bin/plugin-sample""#, #""entry": "plugin-sample""#, "artifacts[0].entry"),
    Refusal(#""share/words":"#, #""/share/words":"#, "artifacts[0].files"),
    Refusal(#""share/words":"#, #""share/../../words":"#, "artifacts[0].files"),
    Refusal(#""share/words":"#, #""manifest.sig":"#, "artifacts[0].files"),
    Refusal(#""share/words":"#, #""bin/plugin-sample/words":"#, "artifacts[0].files"),
    Refusal("sha256:00000000000000000000000000000000000000000000000000000000000000bb", "sha256:BB", "share/words"),
    Refusal(#""/usr/bin/python3""#, #""python3""#, "runtime.interpreter"),
    Refusal(#""/usr/lib/python3""#, #""/usr/../etc""#, "runtime.readPaths[0]"),
    Refusal("M0 0h24v24H0z", "<script>", "icon.path"),
    Refusal("#aabbcc", "#AABBCC", "icon.color"),
    Refusal(#""shape": "article""#, #""shape": "hologram""#, "preview.shape"),
    Refusal("https://status.example.com", "http://status.example.com", "links.status"),
    Refusal("https://docs.example.com/api", "javascript:alert(1)", "links.docs"),
    Refusal("SAMPLE_CLIENT_ID", "ROSTRUM_HOME", "configuration[0].name"),
    Refusal("SAMPLE_CLIENT_ID", "client id", "configuration[0].name"),
    Refusal(#""max": 3"#, #""max": 0"#, "hashtags.max"),
    Refusal("2028-02-29", "2027-02-29", "apiVersion.sunset"),
    Refusal(#""cpu": 0.5"#, #""cpu": 0"#, "limits.cpu"),
    Refusal(#""pids": 16"#, #""pids": 0"#, "limits.pids"),
    Refusal(#""post/delete","#, #""post/explode","#, "methods[2]"),
    Refusal(#""post/render","#, "", "methods"),
    Refusal(#""post/reconcile","#, "", "reconcile.absence"),
    Refusal(#"["content"]"#, #"["passwords"]"#, "input[0]"),
    Refusal(#""source": "entered""#, #""source": "stolen""#, "secrets.token.source"),
    Refusal(#""type": "origin""#, #""type": "string""#, "origin"),
    Refusal(#""type": "url""#, #""type": "uri""#, "account.fields[1].type"),
    Refusal(#""class": "commit""#, #""class": "maybe""#, "class"),
    Refusal(#""method": "DELETE""#, #""method": "delete""#, "method"),
    Refusal(#""method": "DELETE""#, #""method": "GET""#, "class"),
    Refusal(#""https://api.example.com""#, #""http://api.example.com""#, "origin"),
    Refusal(#""https://api.example.com""#, #""https://api.example.com/""#, "origin"),
    Refusal(#""https://api.example.com""#, #""https://user@api.example.com""#, "origin"),
    Refusal(#""https://api.example.com""#, #""https://10.0.0.1""#, "origin"),
    Refusal(#""https://api.example.com""#, #""https://localhost""#, "origin"),
    Refusal(#""https://api.example.com""#, #""https://api.example.com.""#, "origin"),
    Refusal(#""https://api.example.com""#, #""https://api.example.com:443""#, "origin"),
    Refusal(#""https://api.example.com""#, #""https://api.example.com:99999""#, "origin"),
    Refusal("/{owner}/posts", "{owner}/posts", "path"),
    Refusal("/{owner}/posts", "/{owner}//posts", "path"),
    Refusal("/{owner}/posts", "/{owner}/../posts", "path"),
    Refusal("/{owner}/posts", "/{owner}{owner}/posts", "path"),
    Refusal("/{owner}/posts", "/{owner/posts", "path"),
    Refusal("/{owner}/posts", "/{owner}/posts?x=1", "path"),
    Refusal("/{owner}/posts", "/{owner}/%2e%2e", "path"),
    Refusal(#""calls": ["post/publish"]"#, #""calls": ["post/*"]"#, "calls"),
    Refusal(#""calls": ["post/publish"]"#, #""calls": ["post/render"]"#, "calls[0]"),
    Refusal(#""calls": ["post/publish"]"#, #""calls": ["post/metrics"]"#, "calls[0]"),
    Refusal(#""calls": ["post/publish"]"#, #""calls": ["*"]"#, "calls[0]"),
    Refusal(#""calls": ["post/publish"]"#, #""calls": []"#, "calls"),
    Refusal(#""secret": "token", "format""#, #""secret": "other", "format""#, "authorization.secret"),
    Refusal(#""Bearer {}""#, #""Bearer""#, "authorization.format"),
    Refusal(#""Bearer {}""#, #""{} and {}""#, "authorization.format"),
    Refusal(#""header.authorization""#, #""header.Authorization""#, "slots.header.Authorization"),
    Refusal(#""header.authorization""#, #""header.host""#, "slots.header.host"),
    Refusal(#""header.authorization""#, #""form.token""#, "slots.form.token"),
    Refusal(#""header.authorization""#, #""query.token""#, "query.token"),
    Refusal(#""header.authorization""#, #""header.x-version""#, "header.x-version"),
    Refusal(#""headers": ["x-version"]"#, #""headers": ["authorization"]"#, "headers[0]"),
    Refusal(#""headers": ["x-version"]"#, #""headers": ["x-forwarded-for"]"#, "headers[0]"),
    Refusal(#""slot": "header.idempotency-key""#, #""slot": "header.authorization""#, "idempotent.slot"),
    Refusal(#", "slot": "header.idempotency-key""#, "", "idempotent.slot"),
    Refusal(
      #""kind": "standardWebhooks", "secret": "signing""#,
      #""kind": "standardWebhooks", "secret": "token""#,
      "signer.secret"
    ),
    Refusal(#""kind": "standardWebhooks""#, #""kind": "md5""#, "signer.kind"),
    Refusal(#""equals": "duplicate""#, #""equals": ["duplicate"]"#, "equals"),
    Refusal(#""equals": "duplicate", "#, "", "pointer"),
    Refusal(#""pointer": "/detail", "#, "", "equals"),
    Refusal(#""pointer": "/detail""#, #""pointer": "detail""#, "pointer"),
    Refusal(#""exists": false"#, #""exists": 0"#, "exists"),
    Refusal(#""status": [403]"#, #""status": [99]"#, "status[0]"),
    Refusal(#""remoteId": "/data/id""#, #""remoteId": "data.id""#, "remoteId"),
    Refusal(#"["x-limit-remaining"]"#, #"["set-cookie"]"#, "exposeHeaders[0]"),
    Refusal(#""maxBody": 65536"#, #""maxBody": 10000000"#, "maxBody"),
    Refusal(#""reason": "the platform searches by POST","#, "", "reason"),
    Refusal(#""repeatable": true,"#, #""repeatable": "yes","#, "repeatable"),
    Refusal(#""lookup": true,"#, "", "reconcile.absence"),
    Refusal(#""rule": "remove""#, #""rule": "create""#, "rule"),
    Refusal(#""rules": ["create"]"#, #""rules": ["nothing"]"#, "rateLimits[0].rules[0]"),
    Refusal(#""unit": "unixSeconds""#, #""unit": "fortnights""#, "rateLimitHeaders[0].reset.unit"),
    Refusal(#""scope": "perApp""#, #""scope": "perMoon""#, "rateLimitHeaders[1].scope"),
    Refusal(#""pointer": "/error/wait""#, #""pointer": "error.wait""#, "retryAfter.pointer"),
    Refusal(#""unit": "minutes""#, #""unit": "hours""#, "retryAfter.unit"),
    Refusal(#""settleMs": 20000"#, #""settleMs": -1"#, "reconcile.settleMs"),
    Refusal(#""settleMs": 20000"#, #""settleMs": 20.5"#, "reconcile.settleMs"),
  ]

  static let text = #"""
    {
      "schema": "rostrum-plugin/1",
      "id": "sample",
      "name": "Sample",
      "aliases": ["specimen"],
      "kind": "platform",
      "version": "1.2.3-beta.1",
      "description": "A sample.",
      "license": "Apache-2.0",
      "protocol": {"min": "1.0", "max": "1.4"},
      "executable": "plugin-sample",
      "publisher": "key:ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
      "artifacts": [
        {"os": "linux", "arch": "x86_64", "entry": "bin/plugin-sample", "files": {
          "bin/plugin-sample": "sha256:00000000000000000000000000000000000000000000000000000000000000aa",
          "share/words": "sha256:00000000000000000000000000000000000000000000000000000000000000bb"}}
      ],
      "runtime": {"interpreter": "/usr/bin/python3", "readPaths": ["/usr/lib/python3"]},
      "icon": {"path": "M0 0h24v24H0z", "color": "#aabbcc"},
      "preview": {"shape": "article", "avatar": "square", "accent": "#112233"},
      "links": {"status": "https://status.example.com", "docs": "https://docs.example.com/api",
                "support": "https://help.example.com"},
      "postAddresses": ["https://example.com/{handle}/posts/{id:digits}", "{origin}/p/{id}"],
      "configuration": [{"name": "SAMPLE_CLIENT_ID", "label": "Client ID", "secret": true},
                        {"name": "SAMPLE_CLIENT_SECRET", "label": "Client secret", "secret": true},
                        {"name": "SAMPLE_CALLBACK_URL", "label": "Callback"}],
      "hashtags": {"min": 1, "max": 3},
      "apiVersion": {"name": "v7", "sunset": "2028-02-29"},
      "methods": [
        "account/capabilities", "account/identify", "post/delete", "post/publish", "post/reconcile", "post/render",
        "post/validate"
      ],
      "input": ["content"],
      "secrets": {
        "token": {"label": "Token", "source": "entered"},
        "signing": {"label": "Signing secret", "source": "generated", "format": "whsec"},
        "access": {"label": "Access token", "source": "oauth"}
      },
      "oauth": {
        "application": {"id": "SAMPLE_CLIENT_ID", "secret": "SAMPLE_CLIENT_SECRET", "callback": "SAMPLE_CALLBACK_URL"},
        "authorize": {"url": "https://www.example.com/oauth/authorize/", "parameters": {
          "client_key": "{client.id}", "redirect_uri": "{redirect}", "state": "{state}", "scope": "{scope}",
          "code_challenge": "{challenge.hex}", "prompt": "consent"}},
        "scopeSeparator": ",",
        "scopes": [
          {"name": "publish", "label": "Publish", "required": true, "scopes": ["post.write", "user:read"]},
          {"name": "metrics", "label": "Metrics", "reason": "Shows how posts do", "scopes": ["insights"]}
        ],
        "exchange": [
          {"method": "POST", "url": "{origin}/oauth/token", "parameters": {
             "client_key": "{client.id}", "client_secret": "{client.secret}", "code": "{code}",
             "redirect_uri": "{redirect}", "code_verifier": "{verifier}"},
           "answer": {"accessToken": ["/data/0/access_token"], "refreshToken": ["/data/0/refresh"],
                      "expiresIn": ["/data/0/expires"], "refreshExpiresIn": ["/data/0/refresh_expires"],
                      "scope": ["/data/0/permissions"]}},
          {"method": "GET", "url": "https://graph.example.com/access_token", "parameters": {
             "grant_type": "exchange", "access_token": "{token}"}}
        ],
        "refresh": {
          "request": {"method": "POST", "url": "https://api.example.com/oauth/token", "authentication": "basic",
                      "parameters": {"refresh_token": "{refresh}"}, "answer": {"accessToken": ["/token"]}},
          "rotation": "grace", "graceMs": 60000, "minimumAgeMs": 86400000, "lifetimeMs": 7200000,
          "needsRefreshToken": true
        },
        "revoke": [{"method": "DELETE", "url": "https://api.example.com/oauth/grant", "authentication": "bearer"}],
        "accounts": {
          "request": {"method": "GET", "url": "https://api.example.com/me/accounts", "authentication": "bearer"},
          "each": "/data", "id": "/urn", "name": "/title", "handle": "/username", "token": "/access_token",
          "needs": {"pointer": "/tasks", "anyOf": ["CREATE", "MANAGE"]},
          "next": {"pointer": "/paging/after", "parameter": "after"}
        },
        "dead": [{"status": [400, 401], "pointer": "/error/code", "values": ["190"]}],
        "issuer": "https://www.example.com"
      },
      "account": {"fields": [
        {"name": "origin", "label": "Server", "type": "origin", "required": true},
        {"name": "endpoint", "label": "Address", "type": "url"}
      ]},
      "egress": [
        {"rule": "me", "class": "read", "method": "GET", "origin": "https://api.example.com", "path": "/me",
         "query": ["fields"], "calls": ["account/*", "post/*"], "maxBody": 1000, "timeoutMs": 1000},
        {"rule": "search", "class": "read", "reason": "the platform searches by POST", "lookup": true,
         "method": "POST", "origin": "https://api.example.com", "path": "/search", "calls": ["post/reconcile"],
         "body": "json", "maxBody": 1000, "timeoutMs": 1000},
        {"rule": "upload", "class": "prepare", "repeatable": true, "validForMs": 60000, "method": "POST",
         "origin": "account.origin", "path": "/upload", "calls": ["post/publish"], "body": "multipart",
         "remoteId": "header.x-upload-id", "maxBody": 1000, "timeoutMs": 1000},
        {"rule": "create", "class": "commit", "idempotent": {"windowMs": 3600000, "slot": "header.idempotency-key"},
         "method": "POST", "origin": "https://api.example.com", "path": "/{owner}/posts", "query": ["token"],
         "headers": ["x-version"], "calls": ["post/publish"], "body": "json",
         "slots": {"header.authorization": {"secret": "token", "format": "Bearer {}"},
                   "json./auth/key": {"secret": "token", "encoding": "base64"}},
         "outcome": [
           {"status": [403], "pointer": "/detail", "equals": "duplicate", "class": "unknown"},
           {"status": [200, 201], "pointer": "/data/id", "exists": false, "class": "unknown"},
           {"status": [200], "pointer": "/code", "notEquals": 0, "class": "rejected"}
         ],
         "remoteId": "/data/id", "exposeHeaders": ["x-limit-remaining"], "maxBody": 65536, "timeoutMs": 30000},
        {"rule": "hook", "class": "commit", "idempotent": {"windowMs": 3600000}, "method": "POST",
         "origin": "account.endpoint", "calls": ["post/publish"],
         "signer": {"kind": "standardWebhooks", "secret": "signing"}, "body": "json", "maxBody": 1000,
         "timeoutMs": 1000},
        {"rule": "remove", "class": "commit", "method": "DELETE", "origin": "https://api.example.com",
         "path": "/posts/{id}", "calls": ["post/delete"], "outcome": [{"status": [404], "class": "accepted"}],
         "maxBody": 1000, "timeoutMs": 1000}
      ],
      "reconcile": {"absence": "certain", "settleMs": 20000},
      "rateLimits": [{"rules": ["create"], "perAccount": {"count": 50, "windowMs": 900000},
                      "perSite": {"count": 500, "windowMs": 900000},
                      "perApp": {"count": 5000, "windowMs": 900000}, "note": "half of what is published"}],
      "rateLimitHeaders": [{"limit": "x-limit", "remaining": "x-limit-remaining",
                            "reset": {"header": "x-limit-reset", "unit": "unixSeconds"}},
                           {"scope": "perApp", "remaining": "x-app-remaining",
                            "reset": {"header": "x-app-reset", "unit": "seconds"}}],
      "retryAfter": {"pointer": "/error/wait", "unit": "minutes"},
      "limits": {"inFlight": 256, "memoryMiB": 96, "startMs": 5000, "callMs": 120000,
        "cpu": 0.5, "pids": 16, "fds": 64, "idleStopMs": 30000}
    }
    """#
}
