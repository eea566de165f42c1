internal import FoundationEssentials
package import Postgres
internal import Synchronization

/// Copies the signed heads of the database into the folder of this host. Every host does, whoever seals.
package final class HeadKeeper: Sendable {
  private struct Known {
    /// The newest head in the file, and the tip.
    var head: Int64
    var tip: Int64
  }

  private let pool: Pool
  private let keys: ChainKeys
  private let archive: HeadArchive
  private let known = Mutex<Known?>(nil)
  private static let pageSize = 1_000

  package init(pool: Pool, keys: ChainKeys, archive: HeadArchive) {
    self.pool = pool
    self.keys = keys
    self.archive = archive
  }

  /// Copies what is new.
  ///
  /// - Returns: How many rows the database lacks of those that this host knows of; 0 when all is well.
  package func round() async throws -> Int64 {
    var known = try await load()
    let answers = try await pool.batch([
      "SELECT id FROM installation",
      """
      SELECT \(fragment: ChainHead.columns) FROM audit_heads h WHERE NOT h.is_checkpoint AND h.seq > \(known.head)
      ORDER BY h.seq LIMIT \(Int64(Self.pageSize))
      """,
      "SELECT \(fragment: ChainHead.columns) FROM audit_state h WHERE h.seq > 0",
    ])
    let chain: UUID = try answers[0][0].get(0)
    let heads = try answers[1].map { row throws(PostgresError) in try ChainHead(row, kind: .head, chain: chain) }
    let tip = try answers[2].first.map { row throws(PostgresError) in try ChainHead(row, kind: .head, chain: chain) }
    if let last = heads.last {
      var lines = heads.map { $0.json(publicKey: []) }
      for (index, head) in heads.enumerated() {
        lines[index] = head.json(publicKey: try await keys.key(head.key).publicKey)
      }
      try await archive.append(lines)
      known.head = last.seq
    }
    if let tip, tip.seq > known.tip {
      try await archive.replaceTip(tip.json(publicKey: try await keys.key(tip.key).publicKey))
      known.tip = tip.seq
    }
    self.known.withLock { [known] in $0 = known }
    return max(0, max(known.tip, known.head) - (tip?.seq ?? 0))
  }

  private func load() async throws -> Known {
    if let known = known.withLock({ $0 }) { return known }
    let content = try await archive.read()
    return Known(head: content.heads.map(\.seq).max() ?? 0, tip: content.newest)
  }
}
