package import JSONDocument

/// Something a plugin may do because its manifest asks for it.
package struct Grant: Sendable, Equatable, Hashable {
  /// What two versions are compared by, such as `http POST https://api.example.org/posts post/publish`.
  package let key: String
  /// The amount that was asked for, where more is more; nil for what is granted or not.
  package let amount: Double?
  /// The same in plain words.
  package let words: String

  package init(key: String, amount: Double? = nil, words: String) {
    self.key = key
    self.amount = amount
    self.words = words
  }
}

/// Everything that a manifest asks for, derived from the document so that no member goes unnoticed.
package struct Grants: Sendable, Equatable {
  /// Sorted by key.
  package let all: [Grant]
  /// `host:port` of every fixed origin, sorted.
  package let hosts: [String]
  /// Whether requests also go to addresses that users enter.
  package let usesAccountAddresses: Bool

  package init(_ manifest: JSONValue) {
    var builder = GrantBuilder()
    builder.read(manifest)
    all = Dictionary(builder.grants.map { ($0.key, $0) }) { first, _ in first }.values.sorted { $0.key < $1.key }
    hosts = builder.hosts.sorted()
    usesAccountAddresses = builder.usesAccountAddresses
  }

  /// What is asked for here and was not granted there.
  package func beyond(_ granted: Grants) -> [Grant] {
    let known = Dictionary(granted.all.map { ($0.key, $0) }) { first, _ in first }
    return all.filter { grant in
      guard let old = known[grant.key] else { return true }
      guard let amount = grant.amount else { return false }
      return amount > (old.amount ?? 0)
    }
  }
}

/// Collects the grants of one manifest.
private struct GrantBuilder {
  var grants: [Grant] = []
  var hosts: Set<String> = []
  var usesAccountAddresses = false

  /// Members of a rule that widen nothing: names, how answers are judged, and how the plugin fills its own request.
  private static let harmless: Set<String> = [
    "rule", "class", "repeatable", "validForMs", "idempotent", "method", "methods", "origin", "origins", "path",
    "paths",
    "query", "headers", "calls", "slots", "signer", "body", "outcome", "remoteId", "exposeHeaders", "maxBody",
    "timeoutMs", "reason", "lookup", "mediaBody", "auth", "stream", "redirect",
  ]

  mutating func read(_ manifest: JSONValue) {
    for rule in manifest["egress"]?.arrayValue ?? [] { read(rule: rule) }
    for (name, secret) in manifest["secrets"]?.objectValue ?? [:] {
      let label = secret["label"]?.stringValue ?? name
      add("secret \(name)", "keep the secret “\(name)” (\(label)) of each account; the plugin itself never sees it")
    }
    if let oauth = manifest["oauth"] { read(signIn: oauth) }
    for input in manifest["input"]?.arrayValue ?? [] {
      guard let input = input.stringValue else { continue }
      add("input \(input)", "read the \(input) of posts in full")
    }
    if let runtime = manifest["runtime"] { read(runtime: runtime) }
    limits(manifest["limits"]?.objectValue ?? [:])
  }

  private mutating func read(rule: JSONValue) {
    let origins = texts(rule, "origin", "origins")
    let paths = texts(rule, "path", "paths")
    let calls = rule["calls"]?.arrayValue?.compactMap(\.stringValue) ?? []
    for origin in origins {
      note(origin)
      for method in texts(rule, "method", "methods") {
        for path in paths.isEmpty ? [""] : paths {
          for call in calls {
            add(
              "http \(method) \(origin)\(path) \(call)",
              "send \(method) requests to \(Self.words(origin))\(path) while it answers \(call)"
            )
          }
        }
      }
      for (place, slot) in rule["slots"]?.objectValue ?? [:] {
        let secret = slot["secret"]?.stringValue ?? slot.text()
        add(
          "slot \(secret) \(place) \(origin)",
          "have the secret “\(secret)” sent to \(Self.words(origin)) in \(place)"
        )
      }
      if let signer = rule["signer"] {
        let secret = signer["secret"]?.stringValue ?? "?"
        add(
          "sign \(signer.text()) \(origin)",
          "have requests to \(Self.words(origin)) signed with the secret “\(secret)”"
        )
      }
      for target in rule["redirect"]?["to"]?.arrayValue ?? [] {
        guard let target = target.stringValue else { continue }
        note(target)
        add("redirect \(origin) \(target)", "follow redirects from \(Self.words(origin)) to \(target)")
      }
      // A member that this host gives a meaning and this list does not name counts as asking for more.
      for (name, value) in rule.objectValue ?? [:] where !Self.harmless.contains(name) {
        add("\(name) \(value.text()) \(origin)", "use “\(name)” for \(Self.words(origin)): \(value.text())")
      }
    }
  }

  /// Where the host sends people, codes, tokens and the secret of its application.
  private mutating func read(signIn oauth: JSONValue) {
    for (name, value) in oauth["application"]?.objectValue ?? [:] {
      guard let setting = value.stringValue else { continue }
      add("setting \(name) \(setting)", "use the setting \(setting) of the host for sign-ins (\(name))")
    }
    if let page = oauth["authorize"]?["url"]?.stringValue {
      add("page \(page)", "send people to \(page) to allow the access")
    }
    for scope in (oauth["scopes"]?.arrayValue ?? []).flatMap({ $0["scopes"]?.arrayValue ?? [] }) {
      guard let scope = scope.stringValue else { continue }
      add("scope \(scope)", "ask people for “\(scope)”")
    }
    var requests = (oauth["exchange"]?.arrayValue ?? []).map { ("get a token", $0) }
    requests += (oauth["revoke"]?.arrayValue ?? []).map { ("end the access", $0) }
    if let request = oauth["refresh"]?["request"] { requests.append(("renew a token", request)) }
    if let request = oauth["accounts"]?["request"] { requests.append(("list the accounts of a sign-in", request)) }
    for (purpose, request) in requests {
      guard let url = request["url"]?.stringValue else { continue }
      note(url.hasPrefix("{") ? "account.origin" : url)
      let carried = Self.carried(request)
      add(
        "sign-in \(purpose) \(request["method"]?.stringValue ?? "") \(url) \(carried.joined(separator: " "))",
        "have the host send \(carried.isEmpty ? "nothing secret" : carried.joined(separator: ", ")) to \(url) to \(purpose)"
      )
    }
  }

  /// The secret values that a request of a sign-in carries.
  private static func carried(_ request: JSONValue) -> [String] {
    var places = Set((request["parameters"]?.objectValue ?? [:]).values.compactMap(\.stringValue))
    switch request["authentication"]?.stringValue {
    case "basic": places.insert("{client.secret}")
    case "bearer": places.insert("{token}")
    default: break
    }
    let words = [
      ("{client.secret}", "the application's secret"), ("{code}", "the code"), ("{token}", "the access token"),
      ("{refresh}", "the refresh token"),
    ]
    return words.filter { places.contains($0.0) }.map(\.1)
  }

  private mutating func read(runtime: JSONValue) {
    if let interpreter = runtime["interpreter"]?.stringValue {
      add("interpreter \(interpreter)", "run the program \(interpreter)")
    }
    for path in runtime["readPaths"]?.arrayValue ?? [] {
      guard let path = path.stringValue else { continue }
      add("read \(path)", "read the files in \(path)")
    }
  }

  private mutating func limits(_ limits: [String: JSONValue]) {
    func amount(_ name: String, _ fallback: Double) -> Double { limits[name]?.doubleValue ?? fallback }
    for (name, fallback, words) in [
      ("memoryMiB", 0, "use up to % MiB of memory"), ("cpu", 1, "keep % processors busy"),
      ("pids", 64, "run up to % processes and threads"), ("fds", 128, "hold up to % files open"),
      ("inFlight", 0, "work on up to % calls at once"), ("callMs", 0, "take up to % milliseconds for a call"),
    ] as [(String, Double, String)] {
      let value = amount(name, fallback)
      let shown = value == value.rounded() && abs(value) < 1e15 ? "\(Int64(value))" : "\(value)"
      grants.append(Grant(key: "limit \(name)", amount: value, words: words.replacing("%", with: shown)))
    }
  }

  private mutating func note(_ origin: String) {
    guard let colon = origin.firstRange(of: "://") else {
      let suffixes = Self.suffixes(origin)
      if suffixes.isEmpty { usesAccountAddresses = true }
      for suffix in suffixes { hosts.insert("*.\(suffix):443") }
      return
    }
    let place = origin[colon.upperBound...].prefix { $0 != "/" }
    hosts.insert(place.contains(":") ? String(place) : "\(place):443")
  }

  private func texts(_ rule: JSONValue, _ one: String, _ many: String) -> [String] {
    let list = rule[many]?.arrayValue ?? []
    return ([rule[one]].compactMap { $0 } + list).map { $0.stringValue ?? $0.text() }
  }

  private mutating func add(_ key: String, _ words: String) {
    grants.append(Grant(key: key, words: words))
  }

  /// The endings of hosts that an answer may name; an origin of that kind is an object.
  private static func suffixes(_ origin: String) -> [String] {
    // Only texts that were objects begin like one; a plain word ends nowhere.
    guard origin.hasPrefix("{"), let object = try? JSONValue.parse(origin) else { return [] }
    let value = object["suffix"]
    return value?.arrayValue?.compactMap(\.stringValue) ?? value?.stringValue.map { [$0] } ?? []
  }

  private static func words(_ origin: String) -> String {
    let suffixes = suffixes(origin)
    if !suffixes.isEmpty {
      return "addresses below \(suffixes.joined(separator: ", ")) that the platform names in an answer"
    }
    return switch origin {
    case "account.origin": "the server that the user confirms for an account"
    case "account.endpoint": "the address that the user enters for an account"
    default: origin
    }
  }
}
