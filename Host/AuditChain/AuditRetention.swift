internal import Audit
internal import FoundationEssentials
package import Postgres

/// Removes the oldest rows of the audit trail, and leaves a signed checkpoint from which the rest goes on.
package struct AuditRetention: Sendable {
  private let pool: Pool
  private let keys: ChainKeys
  /// Rows of one transaction.
  private let piece: Int

  package init(pool: Pool, keys: ChainKeys, piece: Int = 2_000) {
    self.pool = pool
    self.keys = keys
    self.piece = piece
  }

  /// Removes what is older, as far as every row up to there is; returns how many rows there were.
  ///
  /// - Throws: ``AuditError/broken(_:)`` when the rows are not as they were sealed; what proves it stays.
  package func clean(olderThanDays days: Int) async throws -> Int {
    var total = 0
    var last: Int64?
    while true {
      let key = try await keys.primary()
      let (count, seq) = try await pool.transaction { tx in try await self.step(days, key, in: tx) }
      total += count
      last = seq ?? last
      if count < piece { break }
    }
    if total > 0, let last {
      try await pool.execute(
        AuditEntry(
          .auditPrune,
          "audit",
          site: nil,
          details:
            "jsonb_build_object('rows', \(Int64(total))::bigint, 'upTo', \(last)::bigint, 'days', \(Int64(days))::bigint)"
        ).insertion
      )
    }
    return total
  }

  private func step(_ days: Int, _ key: ChainKey, in tx: Transaction) async throws -> (Int, Int64?) {
    // The lock keeps two hosts from removing at the same time, and the sealer where it is.
    let states = try await tx.query(
      """
      SELECT i.id AS chain, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS at
      FROM audit_state s CROSS JOIN installation i FOR UPDATE OF s SKIP LOCKED
      """
    )
    guard let state = states.first else { return (0, nil) }
    let (chain, now): (UUID, Int64) = (try state.get("chain"), try state.get("at"))
    let begins = try await tx.query(
      "SELECT \(fragment: ChainHead.columns) FROM audit_heads h WHERE h.is_checkpoint ORDER BY h.seq DESC LIMIT 1"
    )
    let begin = try begins.first.map { row in try ChainHead(row, kind: .checkpoint, chain: chain) }
    var walk = ChainWalk(after: begin?.seq ?? 0, hash: begin?.hash ?? ChainHead.genesis(chain), keys: keys)
    let cutoff = now - Int64(days) * 86_400_000_000
    var count = 0
    for row in try await tx.query(ChainLink.page(after: walk.seq, limit: piece)) {
      let link = try ChainLink(row)
      guard link.row.at < cutoff else { break }
      if let problem = try await walk.take(link, following: { nil }) { throw AuditError.broken(problem) }
      count += 1
    }
    guard count > 0 else { return (0, nil) }
    let head = try ChainHead.signed(.checkpoint, chain: chain, seq: walk.seq, hash: walk.hash, at: now, key: key)
    let removed: Int32 = try await tx.query(
      """
      SELECT prune_audit_logs(\(head.seq), \(head.hash), \(fragment: head.madeAt), \(head.key), \(head.signature),
        \(Int32(clamping: piece)))
      """
    )[0].get(0)
    return (Int(removed), head.seq)
  }
}
