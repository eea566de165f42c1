package import JSONDocument

/// What an outside request does to the world; decides journaling and what may follow an unknown outcome.
package enum EffectClass: String, Sendable, CaseIterable {
  /// No side effect.
  case read
  /// Side effects that nobody sees, such as an upload.
  case prepare
  /// Makes content public, or removes it.
  case commit
  /// Costs money, without a public effect.
  case billed
}

/// One kind of outside request that a plugin may ask for.
package struct EgressRule: Sendable, Equatable {
  package enum Origin: Sendable, Equatable {
    /// A literal `https://host[:port]`.
    case fixed(String)
    /// The origin that a person confirmed when the account was connected.
    case accountOrigin
    /// The whole address that a person entered; the rule has no path of its own.
    case accountEndpoint
  }

  package enum BodyKind: String, Sendable, CaseIterable {
    case none
    case json
    case form
    case text
    case multipart
    case media
  }

  /// A platform's promise to honour a key chosen by the client, so that a commit may be sent again.
  package struct Idempotency: Sendable, Equatable {
    /// How long the platform remembers the key.
    package let window: Duration
    /// Where the host puts the key; nil if the signer carries it.
    package let slot: SlotPlace?
  }

  package enum Signer: Sendable, Equatable {
    /// Standard Webhooks 1.0.0 with the named secret.
    case standardWebhooks(secret: String)
  }

  /// Where the platform's id of a new object stands in the answer.
  package enum RemoteID: Sendable, Equatable {
    case pointer(String)
    case header(String)
  }

  package let name: String
  package let effectClass: EffectClass
  /// A prepare request that may be sent again after an unknown outcome.
  package let isRepeatable: Bool
  /// How long an answer stays usable; nil without end.
  package let validFor: Duration?
  package let idempotency: Idempotency?
  /// Upper-case HTTP method.
  package let method: String
  package let origin: Origin
  /// Nil only for `accountEndpoint`.
  package let path: PathTemplate?
  /// Query keys that the plugin may fill.
  package let query: Set<String>
  /// Lower-case names of headers that the plugin may set, beside those every plugin may set.
  package let headers: Set<String>
  /// Calling methods, exact or with `/*` for a whole family.
  package let calls: [String]
  package let slots: [Slot]
  package let signer: Signer?
  package let body: BodyKind
  /// Asked in order, first match wins; then the host's defaults.
  package let outcomes: [OutcomeClause]
  package let remoteID: RemoteID?
  /// Response headers the plugin may see, in lower case.
  package let exposedHeaders: [String]
  /// Largest response body in bytes.
  package let maximumBody: Int
  package let timeout: Duration
  /// Why a request with another method than GET or HEAD has class `read`.
  package let reason: String?
  /// A read whose success counts as a search for lost posts.
  package let isLookup: Bool

  /// Whether a plugin may use this rule while it answers `method`.
  package func allows(callingMethod method: String) -> Bool {
    for pattern in calls where Self.matches(pattern: pattern, method: method) { return true }
    return false
  }

  /// Whether only the host may write this header, whatever a manifest says; `name` is in lower case.
  package static func isReserved(header name: String) -> Bool {
    reservedHeaders.contains(name) || reservedPrefixes.contains { name.hasPrefix($0) }
  }

  private static let reservedHeaders: Set<String> = [
    "authorization", "connection", "content-length", "content-type", "cookie", "cookie2", "expect", "forwarded", "host",
    "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "via",
  ]
  private static let reservedPrefixes = ["proxy-", "sec-", "webhook-", "x-forwarded-"]

  static func matches(pattern: String, method: String) -> Bool {
    if pattern.hasSuffix("/*") {
      return !PluginMethods.pure.contains(method) && method.hasPrefix(pattern.dropLast())
    }
    return pattern == method
  }
}

/// Where the host puts a value that the plugin may neither see nor replace.
package enum SlotPlace: Sendable, Equatable, Hashable, CustomStringConvertible {
  /// Lower-case header name.
  case header(String)
  case query(String)
  case form(String)
  /// JSON pointer to a member of the body.
  case json(String)

  package var description: String {
    switch self {
    case .header(let name): "header.\(name)"
    case .query(let key): "query.\(key)"
    case .form(let key): "form.\(key)"
    case .json(let pointer): "json.\(pointer)"
    }
  }
}

/// One secret and the place the host writes it to.
package struct Slot: Sendable, Equatable {
  package enum Encoding: String, Sendable, CaseIterable {
    case plain
    case base64
  }

  package let place: SlotPlace
  /// Name of a declared secret.
  package let secret: String
  package let encoding: Encoding
  /// Text around the value.
  package let prefix: String
  package let suffix: String
}

/// One line of a rule's outcome table.
package struct OutcomeClause: Sendable, Equatable {
  package enum Class: String, Sendable, CaseIterable {
    case accepted
    case rejected
    case unknown
  }

  /// What the body must say; a body that cannot be read as JSON, or is cut, makes the outcome unknown.
  package enum Condition: Sendable, Equatable {
    case always
    case equals(pointer: String, JSONValue)
    /// A value that is there and differs; where there is none, the outcome is unknown.
    case notEquals(pointer: String, JSONValue)
    case exists(pointer: String, Bool)
  }

  /// HTTP statuses this clause is about.
  package let statuses: Set<Int>
  package let condition: Condition
  package let outcome: Class
}

/// Methods a plugin can answer, as the host knows them.
package enum PluginMethods {
  package static let platform: Set<String> = [
    "account/capabilities", "account/identify", "account/list", "post/delete", "post/metrics", "post/publish",
    "post/reconcile", "post/render", "post/validate",
  ]
  package static let llm: Set<String> = ["llm/generate", "llm/models"]
  /// Methods that must compute their answer alone: no host calls are allowed during them.
  package static let pure: Set<String> = ["post/render", "post/validate"]
}
