/// What a sealed value is; part of its header.
package enum SealKind: UInt8, Sendable, CaseIterable {
  /// All secrets of a connection, see `ConnectionSecrets`.
  case tokens = 1
  case clientSecret = 2
  /// The verifier of a running sign-in (RFC 7636).
  case codeVerifier = 3
  case providerKey = 4
  /// A site's data key, sealed with a key-encryption key.
  case dataKey = 5
  /// An outcome that waits on disk for the database.
  case spoolRecord = 6
  /// An address captured from an answer that works like a secret.
  case capturedURL = 7
  /// A token captured from an answer.
  case capturedSecret = 8
  /// The key that signs the messages of a webhook.
  case webhookSecret = 9
  /// A key of the audit trail, sealed with a key-encryption key.
  case auditKey = 10

  /// Whether a key-encryption key seals it, and not the data key of a site.
  var isKey: Bool { self == .dataKey || self == .auditKey }
}

/// The place a sealed value belongs to. It is authenticated with the value, so a blob opens in its own place only.
package struct SealContext: Sendable, Hashable {
  package var kind: SealKind
  /// The site, whose data key is used.
  package var site: Int64
  /// The manifest id of the platform, or empty.
  package var platform: String
  /// The row's id, such as the connection's; taken before the first seal and never changed.
  package var connection: Int64
  /// The column or the name of the value inside the row.
  package var field: String
  /// The row's counter, raised with each new value.
  package var generation: Int64

  package init(
    kind: SealKind,
    site: Int64,
    platform: String,
    connection: Int64,
    field: String,
    generation: Int64
  ) {
    self.kind = kind
    self.site = site
    self.platform = platform
    self.connection = connection
    self.field = field
    self.generation = generation
  }

  /// The context of a site's wrapped data key.
  package static func dataKey(id: Int64, site: Int64) -> SealContext {
    SealContext(kind: .dataKey, site: site, platform: "", connection: id, field: "dek", generation: 0)
  }

  /// The context of a wrapped key of the audit trail, which belongs to no site.
  package static func auditKey(id: Int64) -> SealContext {
    SealContext(kind: .auditKey, site: 0, platform: "", connection: id, field: "audit", generation: 0)
  }

  /// The context of the signing key of a webhook.
  package static func webhookSecret(_ endpoint: Int64, site: Int64, generation: Int64) -> SealContext {
    SealContext(
      kind: .webhookSecret,
      site: site,
      platform: "",
      connection: endpoint,
      field: "secret",
      generation: generation
    )
  }

  /// The bytes authenticated behind the header: a count, then each part behind its length, so that no two contexts
  /// have the same bytes. Numbers are 8 bytes, most significant first.
  var encoded: [UInt8] {
    let parts: [[UInt8]] = [
      Array("rostrum.vault.v1".utf8), site.bigEndianBytes, Array(platform.utf8), connection.bigEndianBytes,
      Array(field.utf8), generation.bigEndianBytes,
    ]
    var bytes = UInt32(parts.count).bigEndianBytes
    for part in parts { bytes += UInt32(truncatingIfNeeded: part.count).bigEndianBytes + part }
    return bytes
  }
}

extension FixedWidthInteger {
  /// The number's bytes, most significant first.
  var bigEndianBytes: [UInt8] {
    stride(from: Self.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: self >> Self($0)) }
  }

  /// Reads a number from bytes, most significant first.
  init(bigEndian bytes: some Sequence<UInt8>) {
    self = bytes.reduce(0) { $0 << 8 | Self($1) }
  }
}
