internal import Cryptography
package import FoundationEssentials
package import JSONDocument
internal import Postgres

/// How far the chain had come at some moment, signed. Kept apart from the rows, it shows when rows are gone.
package struct ChainHead: Sendable, Equatable {
  package enum Kind: String, Sendable {
    case head
    /// The rows up to here were removed because of their age; the chain begins behind it.
    case checkpoint
  }

  package let kind: Kind
  /// The installation.
  package let chain: UUID
  /// The number of the newest row.
  package let seq: Int64
  /// The hash of that row.
  package let hash: [UInt8]
  /// Microseconds since 1970, by the database's clock.
  package let at: Int64
  /// The number of the key of the trail.
  package let key: Int64
  /// Ed25519.
  package let signature: [UInt8]

  /// Signs a new head.
  static func signed(
    _ kind: Kind,
    chain: UUID,
    seq: Int64,
    hash: [UInt8],
    at: Int64,
    key: ChainKey
  ) throws -> ChainHead {
    let message = message(kind, chain: chain, seq: seq, hash: hash, at: at, key: key.id)
    return ChainHead(
      kind: kind,
      chain: chain,
      seq: seq,
      hash: hash,
      at: at,
      key: key.id,
      signature: try key.sign(message)
    )
  }

  private init(
    kind: Kind,
    chain: UUID,
    seq: Int64,
    hash: [UInt8],
    at: Int64,
    key: Int64,
    signature: [UInt8]
  ) {
    self.kind = kind
    self.chain = chain
    self.seq = seq
    self.hash = hash
    self.at = at
    self.key = key
    self.signature = signature
  }

  package func isValid(under key: ChainKey) -> Bool {
    let message = Self.message(kind, chain: chain, seq: seq, hash: hash, at: at, key: self.key)
    return key.id == self.key && Ed25519.isValid(signature, for: message, publicKey: key.publicKey)
  }

  private static func message(
    _ kind: Kind,
    chain: UUID,
    seq: Int64,
    hash: [UInt8],
    at: Int64,
    key: Int64
  ) -> [UInt8] {
    var bytes = ChainBytes()
    bytes.add("rostrum.audit.head.v1")
    bytes.add(kind.rawValue)
    bytes.add(chain.uuidString.lowercased())
    bytes.add(seq)
    bytes.add(hash)
    bytes.add(at)
    bytes.add(key)
    return bytes.encoded
  }

  /// What the first row names as the hash before it, so that a chain belongs to its installation.
  package static func genesis(_ chain: UUID) -> [UInt8] {
    var bytes = ChainBytes()
    bytes.add("rostrum.audit.chain.v1")
    bytes.add(chain.uuidString.lowercased())
    return SHA256.digest(bytes.encoded)
  }

  // MARK: Stored

  /// The columns that ``init(_:kind:chain:)`` reads, for a statement over `h`.
  static let columns: SQL = """
    h.seq, h.hash, (extract(epoch FROM h.made_at) * 1000000)::bigint AS at, h.key_number, h.signature
    """

  init(_ row: Row, kind: Kind, chain: UUID) throws(PostgresError) {
    self.init(
      kind: kind,
      chain: chain,
      seq: try row.get("seq"),
      hash: try row.get("hash"),
      at: try row.get("at"),
      key: try row.get("key_number"),
      signature: try row.get("signature")
    )
  }

  /// The instant as an expression of type `timestamptz`.
  var madeAt: SQL { "('epoch'::timestamptz + \(at) * interval '1 microsecond')" }

  // MARK: Kept apart

  /// A line of the file of heads.
  ///
  /// - Parameter publicKey: For people who check the file without the host.
  package func json(publicKey: [UInt8]) -> JSONValue {
    [
      "v": 1, "kind": .string(kind.rawValue), "chain": .string(chain.uuidString.lowercased()), "seq": .int(seq),
      "hash": .string(Hex.encode(hash)), "atUs": .int(at), "key": .int(key),
      "signature": .string(Hex.encode(signature)), "publicKey": .string(Hex.encode(publicKey)),
    ]
  }

  package init?(json: JSONValue) {
    guard json["v"]?.int64Value == 1, let kind = json["kind"]?.stringValue.flatMap(Kind.init),
      let chain = json["chain"]?.stringValue.flatMap({ UUID(uuidString: $0) }),
      let seq = json["seq"]?.int64Value, let hash = json["hash"]?.stringValue.flatMap({ Hex.decode($0) }),
      let at = json["atUs"]?.int64Value, let key = json["key"]?.int64Value,
      let signature = json["signature"]?.stringValue.flatMap({ Hex.decode($0) })
    else { return nil }
    self.init(kind: kind, chain: chain, seq: seq, hash: hash, at: at, key: key, signature: signature)
  }
}
