/// The manifest of the plugin that the tests write.
enum ProbeManifest {
  static let methods = [
    "account/capabilities", "account/identify", "post/delete", "post/publish", "post/reconcile", "post/render",
    "post/validate",
  ]

  /// Rules of every class; `post` has no key of ours, `keyed` has one.
  static let egress = #"""
    [
      {"rule": "me", "class": "read", "method": "GET", "origin": "https://api.example.com", "path": "/me",
       "calls": ["account/*", "post/*"], "maxBody": 65536, "timeoutMs": 20000},
      {"rule": "find", "class": "read", "lookup": true, "method": "GET", "origin": "https://api.example.com",
       "path": "/posts", "calls": ["post/*"], "maxBody": 65536, "timeoutMs": 20000},
      {"rule": "upload", "class": "prepare", "method": "POST", "origin": "https://api.example.com",
       "path": "/uploads", "calls": ["post/*"], "body": "json", "maxBody": 65536, "timeoutMs": 20000},
      {"rule": "post", "class": "commit", "method": "POST", "origin": "https://api.example.com", "path": "/posts",
       "calls": ["post/publish"], "body": "json", "remoteId": "/id", "remoteUrl": "https://a.example/by-rule/{id}",
       "slots": {"header.authorization": {"secret": "token", "format": "Bearer {}"}},
       "maxBody": 65536, "timeoutMs": 20000},
      {"rule": "keyed", "class": "commit", "idempotent": {"windowMs": 3600000, "slot": "header.idempotency-key"},
       "method": "POST", "origin": "https://api.example.com", "path": "/keyed", "calls": ["post/publish"],
       "body": "json", "remoteId": "/id", "maxBody": 65536, "timeoutMs": 20000},
      {"rule": "erase", "class": "commit", "method": "DELETE", "origin": "https://api.example.com",
       "path": "/posts/{id}", "calls": ["post/delete"], "outcome": [{"status": [404], "class": "accepted"}],
       "maxBody": 65536, "timeoutMs": 20000}
    ]
    """#

  private static let configuration = #"""
    [{"name": "PROBE_CLIENT_ID", "label": "Id"}, {"name": "PROBE_CLIENT_SECRET", "label": "Secret", "secret": true}]
    """#

  /// The member `oauth` of a platform that spends refresh tokens like this.
  static func oauth(rotation: String = "strict", refresh: String = "", revoke: Bool = true) -> String {
    let grace = rotation == "grace" ? #""graceMs": 60000,"# : ""
    let tokens = ["refresh", "token"].map {
      #"{"method": "POST", "url": "https://api.example.com/revoke", "authentication": "basic", "parameters": {"token": "{\#($0)}"}}"#
    }
    return #"""
      {"application": {"id": "PROBE_CLIENT_ID", "secret": "PROBE_CLIENT_SECRET"},
       "authorize": {"url": "https://api.example.com/authorize", "parameters":
         {"response_type": "code", "client_id": "{client.id}", "redirect_uri": "{redirect}", "state": "{state}"}},
       "scopes": [{"name": "publish", "label": "Publish", "required": true, "scopes": ["write"]}],
       "exchange": [{"method": "POST", "url": "https://api.example.com/token", "authentication": "basic",
         "parameters": {"grant_type": "authorization_code", "code": "{code}"}}],
       "refresh": {"request": {"method": "POST", "url": "https://api.example.com/token", "authentication": "basic",
         "parameters": {"grant_type": "refresh_token", "refresh_token": "{refresh}"}},
         \#(grace) \#(refresh) "rotation": "\#(rotation)"},
       "revoke": [\#(revoke ? tokens.joined(separator: ",") : "")]}
      """#
  }

  static func text(
    version: String = "1.0.0",
    methods: [String] = methods,
    egress: String = egress,
    rateLimits: String = "[]",
    postAddresses: [String] = [],
    absence: String = "certain",
    settleMilliseconds: Int = 0,
    oauth: String? = nil
  ) -> String {
    let addresses = postAddresses.map { "\"\($0)\"" }.joined(separator: ",")
    let list = methods.map { "\"\($0)\"" }.joined(separator: ",")
    return """
      {"schema": "rostrum-plugin/1", "id": "probe", "name": "Probe", "aliases": ["test"], "kind": "platform",
       "version": "\(version)", "description": "A plugin of the tests.", "license": "Apache-2.0",
       "protocol": {"min": "1.0", "max": "1.0"}, "executable": "plugin-probe", "methods": [\(list)], "input": [],
       "secrets": {"token": {"label": "Token", "source": "\(oauth == nil ? "entered" : "oauth")"}},
       \(oauth.map { "\"configuration\": \(configuration), \"oauth\": \($0)," } ?? "") "account": {"fields": []},
       "egress": \(egress), "reconcile": {"absence": "\(absence)", "settleMs": \(settleMilliseconds)},
       "rateLimits": \(rateLimits), "postAddresses": [\(addresses)],
       "limits": {"inFlight": 64, "memoryMiB": 96, "startMs": 30000, "callMs": 60000}}
      """
  }
}
