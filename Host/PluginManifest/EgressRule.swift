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
    /// An address that another rule captured under this name; its host must be one of the suffixes or end in one.
    case capture(String, suffixes: [String])

    /// Whether the address brings its own path.
    package var isWholeAddress: Bool {
      switch self {
      case .fixed, .accountOrigin: false
      case .accountEndpoint, .capture: true
      }
    }
  }

  /// Whether the host must put a credential into the request.
  package enum Authorization: String, Sendable, CaseIterable {
    /// Without a secret of the account nothing is sent.
    case required
    /// Slots whose secret the account does not have stay empty.
    case optional
    /// The rule has no credential.
    case none
  }

  /// What happens with an answer that points elsewhere.
  package enum Redirects: Sendable, Equatable {
    /// The plugin gets the answer as it is.
    case manual
    /// The host follows within the manifest's rules, and without secrets to these other origins.
    case follow(to: [String])
  }

  /// An answer that the host reads as server-sent events and passes on piece by piece.
  package struct EventStream: Sendable, Equatable {
    /// Pointer into the data of an event; the last value found there ends the stream as its `usage`.
    package let usage: String?
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
  /// Nil for `accountEndpoint` and `capture`, which are whole addresses.
  package let path: PathTemplate?
  /// Query keys that the plugin may fill.
  package let query: Set<String>
  /// Lower-case names of headers that the plugin may set, beside those every plugin may set.
  package let headers: Set<String>
  /// Calling methods, exact or with `/*` for a whole family.
  package let calls: [String]
  package let authorization: Authorization
  package let slots: [Slot]
  package let signer: RequestSigner?
  package let body: BodyKind
  /// Asked in order, first match wins; then the host's defaults.
  package let outcomes: [OutcomeClause]
  package let remoteID: RemoteID?
  /// The page of a new object, with `{id}` where its id goes; nil where only the adapter can tell.
  package let remoteURL: String?
  /// What the host takes out of an answer and keeps.
  package let captures: [CaptureClause]
  /// For an answer full of secrets: pointers to the only members that the plugin may see; nil for other rules.
  package let returns: [String]?
  package let redirects: Redirects
  package let stream: EventStream?
  /// Response headers the plugin may see, in lower case.
  package let exposedHeaders: [String]
  /// Largest response body in bytes.
  package let maximumBody: Int
  package let timeout: Duration
  /// Why a request with another method than GET or HEAD has class `read`.
  package let reason: String?
  /// A read whose success counts as a search for lost posts.
  package let isLookup: Bool

  /// The page of the object with this id, by the rule's template.
  package func remoteURL(of id: String) -> String? {
    remoteURL?.replacing("{id}", with: Self.percentEncoded(id))
  }

  /// Everything that is not unreserved, as a segment of a path or a value of a query wants it.
  private static func percentEncoded(_ text: String) -> String {
    var output = ""
    for byte in text.utf8 {
      if isAlphanumeric(byte) || "-._~".utf8.contains(byte) {
        output.unicodeScalars.append(Unicode.Scalar(byte))
      } else {
        let digits = String(byte, radix: 16, uppercase: true)
        output += digits.utf8.count == 1 ? "%0\(digits)" : "%\(digits)"
      }
    }
    return output
  }

  /// Names of the secrets that a request needs.
  package var secretNames: Set<String> {
    var names = signer?.secretNames ?? []
    for slot in slots { names.formUnion(slot.value.secretNames) }
    return names
  }

  /// Names of the captures that a request must bring: that of its address and those of its slots.
  package var neededCaptures: Set<String> {
    var names = Set(slots.compactMap(\.value.captureName))
    if case .capture(let name, _) = origin { names.insert(name) }
    return names
  }

  /// Whether a plugin may use this rule while it answers `method`.
  package func allows(callingMethod method: String) -> Bool {
    for pattern in calls where Self.matches(pattern: pattern, method: method) { return true }
    return false
  }

  static func matches(pattern: String, method: String) -> Bool {
    if pattern.hasSuffix("/*") {
      return !PluginMethods.pure.contains(method) && method.hasPrefix(pattern.dropLast())
    }
    return pattern == method
  }
}
