/// A plugin's declared identity, needs and rules: everything the host grants it, as checked values.
///
/// A value of this type exists only if the whole manifest was valid; see `parse(_:)`.
package struct PluginManifest: Sendable, Equatable {
  /// What a plugin is for.
  package enum Kind: String, Sendable, CaseIterable {
    case platform
    case llm
  }

  /// Extra parts of a post that are sent to the plugin only when it asks for them.
  package enum Input: String, Sendable, CaseIterable {
    /// The full content of the post, beside its text and excerpt.
    case content
  }

  /// Identity: lower-case slug, 1...40 characters; also the file name and the word users write.
  package let id: String
  /// Name shown to people, 1...80 characters.
  package let name: String
  /// Other slugs under which users may name this plugin; never equal to another plugin's id or alias.
  package let aliases: [String]
  package let kind: Kind
  package let version: SemanticVersion
  package let description: String
  package let license: String
  /// Wire protocol versions the plugin speaks, both ends included.
  package let protocolRange: ProtocolRange
  /// `key:ed25519:` and the public key of whoever signs the bundle; nil in a source manifest.
  package let publisher: String?
  /// File name of the program or script, without a folder.
  package let executable: String
  /// The programs of a bundle, one for each kind of machine; empty in a source manifest.
  package let artifacts: [Artifact]
  /// Nil for programs that need no interpreter.
  package let runtime: Runtime?
  package let icon: Icon?
  package let preview: PreviewLook?
  package let links: ManifestLinks
  /// The forms of its posts' public addresses; empty where an address does not tell the id.
  package let postAddresses: [PostAddress]
  /// What the operator sets in the host's environment for this platform.
  package let configuration: [ConfigurationName]
  /// How many hashtags do well on the platform; nil when the author knows no number.
  package let hashtags: ClosedRange<Int>?
  package let apiVersion: APIVersion?
  /// Methods the plugin answers, sorted; the handshake must report the same set.
  package let methods: [String]
  package let inputs: Set<Input>
  /// How accounts are connected by a sign-in at the platform; nil where people enter what is needed.
  package let oauth: OAuthDeclaration?
  /// Secrets of a connection by name; the plugin never sees their values.
  package let secrets: [String: SecretDeclaration]
  /// Fields a person fills in when an account is connected.
  package let accountFields: [AccountField]
  /// Outside requests the plugin may ask for, by rule name.
  package let rules: [String: EgressRule]
  package let reconcile: ReconcilePolicy
  package let rateLimits: [RateLimit]
  package let rateLimitHeaders: [RateLimitHeaders]
  /// Where a refusal says in its body how long to wait; nil if only headers say so.
  package let retryAfter: RetryAfterPointer?
  package let limits: ResourceLimits

  /// How the id of a publisher begins.
  package static let publisherPrefix = "key:ed25519:"

  /// Returns the rule of that name.
  package func rule(_ name: String) -> EgressRule? {
    rules[name]
  }

  /// Whether the plugin declared this method.
  package func answers(_ method: String) -> Bool {
    methods.contains(method)
  }
}

/// A range of wire protocol versions, both ends included.
package struct ProtocolRange: Sendable, Equatable, CustomStringConvertible {
  /// One `major.minor` version of the wire protocol.
  package struct Version: Sendable, Equatable, Comparable, CustomStringConvertible {
    package let major: Int
    package let minor: Int

    package init(major: Int, minor: Int) {
      self.major = major
      self.minor = minor
    }

    /// Reads `major.minor`; nil unless both are plain numbers of at most four digits without leading zeros.
    package init?(_ text: some StringProtocol) {
      let parts = text.split(separator: ".", omittingEmptySubsequences: false)
      guard parts.count == 2, let major = plainNumber(parts[0]), let minor = plainNumber(parts[1]) else { return nil }
      self.init(major: major, minor: minor)
    }

    package var description: String { "\(major).\(minor)" }

    package static func < (left: Version, right: Version) -> Bool {
      (left.major, left.minor) < (right.major, right.minor)
    }
  }

  package let minimum: Version
  package let maximum: Version

  package init(minimum: Version, maximum: Version) {
    self.minimum = minimum
    self.maximum = maximum
  }

  package func contains(_ version: Version) -> Bool {
    minimum <= version && version <= maximum
  }

  package var description: String { "\(minimum)…\(maximum)" }
}

/// One secret of a connection, declared by name.
package struct SecretDeclaration: Sendable, Equatable {
  package enum Source: String, Sendable, CaseIterable {
    /// A person types or pastes the value.
    case entered
    /// The host makes the value and shows it once.
    case generated
    /// The platform gives it when a person allows the access; see ``OAuthDeclaration``. It may be entered too.
    case oauth
  }

  package enum Format: String, Sendable, CaseIterable {
    /// Any text.
    case text
    /// `whsec_` and the Base64 form of 24...64 random bytes.
    case whsec
  }

  package let label: String
  package let source: Source
  package let format: Format
}

/// One field of the form that connects an account.
package struct AccountField: Sendable, Equatable {
  package enum FieldType: String, Sendable, CaseIterable {
    case string
    /// A whole address with path; the field named `endpoint` is the target of rules with `account.endpoint`.
    case url
    /// Scheme, host and port alone; the field named `origin` is the base of rules with `account.origin`.
    case origin
  }

  package let name: String
  package let label: String
  package let type: FieldType
  package let isRequired: Bool
}

/// What a search on the platform can prove, and how long the platform may take to show a new post.
package struct ReconcilePolicy: Sendable, Equatable {
  package enum Absence: String, Sendable, CaseIterable {
    /// A complete search that finds nothing proves that nothing was published.
    case certain
    /// Nothing can prove absence; an unknown outcome ends `unconfirmed`.
    case never
  }

  package let absence: Absence
  /// Time after the last byte before a search may count as proof of absence.
  package let settle: Duration
}

/// Bounds the host puts on one plugin process.
package struct ResourceLimits: Sendable, Equatable {
  /// Calls the host keeps open at once.
  package let inFlight: Int
  /// Resident memory in MiB.
  package let memoryMiB: Int
  /// Processors it may keep busy; 0.5 is half of one.
  package let cpu: Double
  /// Processes and threads.
  package let pids: Int
  /// Open files.
  package let fds: Int
  /// How long a plugin without work keeps running.
  package let idleStop: Duration
  /// Time from spawn to the answer of `initialize`.
  package let start: Duration
  /// Longest time of one call.
  package let call: Duration

  /// What a manifest gets that says nothing of its own.
  static let standard = (cpu: 1.0, pids: 64, fds: 128, idleStop: Duration.seconds(600))
}
