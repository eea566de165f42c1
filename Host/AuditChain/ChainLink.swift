internal import Postgres

/// A sealed row: what it says, and its place in the chain.
struct ChainLink: Sendable {
  let row: ChainRow
  let seq: Int64
  let previous: [UInt8]
  let hash: [UInt8]
  let code: [UInt8]
  let key: Int64

  private static let columns: SQL = "\(fragment: ChainRow.columns), a.seq, a.prev_hash, a.hash, a.mac, a.mac_key"

  /// The next links behind a number.
  static func page(after seq: Int64, limit: Int) -> SQL {
    """
    SELECT \(fragment: columns) FROM audit_logs a WHERE a.seq > \(seq) ORDER BY a.seq LIMIT \(Int64(limit))
    """
  }

  init(_ row: Row) throws(PostgresError) {
    self.row = try ChainRow(row)
    seq = try row.get("seq")
    previous = try row.get("prev_hash")
    hash = try row.get("hash")
    code = try row.get("mac")
    key = try row.get("mac_key")
  }

  /// Whether the row, as it is, belongs at this place.
  func belongs(at seq: Int64, after previous: [UInt8]) -> Bool {
    row.hash(seq: seq, previous: previous) == hash
  }
}
