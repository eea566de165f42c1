internal import FoundationEssentials
package import Postgres

/// Seals rows of the audit trail into the chain, some at a time. Every host runs one; of several, one works at a time.
///
/// A row is sealed when no older transaction can still write one, in the order of transactions. Which rows are left is
/// what the rows say: a host that is killed in between has sealed all rows of a step or none.
package struct AuditSealer: Sendable {
  /// When a signed head is kept.
  package struct HeadPolicy: Sendable {
    /// After so many rows,
    package var rows: Int64 = 1_000
    /// or after so many seconds, when there are new rows.
    package var seconds: Int64 = 300

    package init() {}
  }

  private let pool: Pool
  private let keys: ChainKeys
  private let policy: HeadPolicy
  private let batch: Int

  /// A row that comes late can not be older in the order of transactions. A number above all that this server gave out
  /// comes from another server, before a restore.
  static let isSettled: SQL = """
    (a.xid < pg_snapshot_xmin(pg_current_snapshot()) OR a.xid >= pg_snapshot_xmax(pg_current_snapshot()))
    """

  private static let newestHead: SQL = """
    SELECT h.seq, h.made_at FROM audit_heads h WHERE NOT h.is_checkpoint ORDER BY h.seq DESC LIMIT 1
    """

  /// - Parameter batch: Rows of one step.
  package init(pool: Pool, keys: ChainKeys, policy: HeadPolicy = HeadPolicy(), batch: Int = 2_000) {
    self.pool = pool
    self.keys = keys
    self.policy = policy
    self.batch = batch
  }

  /// Seals until nothing is left, or another host is at it.
  ///
  /// - Parameter shouldStop: Asked between the steps.
  package func round(until shouldStop: () -> Bool = { false }) async throws {
    while try await step(), !shouldStop() {}
  }

  /// Seals some rows; returns whether there may be more.
  func step() async throws -> Bool {
    guard try await hasWork() else { return false }
    let key = try await keys.primary()
    return try await pool.transaction { tx in
      let states = try await tx.query(
        """
        SELECT s.seq, s.hash, i.id AS chain, h.seq AS headed,
          coalesce(h.made_at < clock_timestamp() - \(policy.seconds) * interval '1 s', true) AS is_due,
          (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS at
        FROM audit_state s CROSS JOIN installation i LEFT JOIN LATERAL (\(fragment: Self.newestHead)) h ON true
        FOR UPDATE OF s SKIP LOCKED
        """
      )
      // Another host seals at this moment.
      guard let state = states.first else { return false }
      let rows = try await tx.query(
        """
        SELECT \(fragment: ChainRow.columns) FROM audit_logs a WHERE a.seq IS NULL AND \(fragment: Self.isSettled)
        ORDER BY a.xid, a.id LIMIT \(Int64(batch))
        """
      ).map { row throws(PostgresError) in try ChainRow(row) }
      let chain: UUID = try state.get("chain")
      let first: Int64 = try state.get("seq")
      let start = try state.get("hash", as: [UInt8]?.self) ?? ChainHead.genesis(chain)
      let (hash, sealing) = Self.sealing(rows, after: first, hash: start, key: key)
      let last = first + Int64(rows.count)
      guard last > 0 else { return false }
      let head = try ChainHead.signed(.head, chain: chain, seq: last, hash: hash, at: state.get("at"), key: key)
      if !rows.isEmpty {
        guard try await tx.execute(sealing) == rows.count else { throw AuditError.sealedTwice }
        try await tx.execute(Self.moving(to: head))
      }
      let headed = try state.get("headed", as: Int64?.self) ?? 0
      if last > headed, try last - headed >= policy.rows || state.get("is_due", as: Bool.self) {
        try await tx.execute(Self.keeping(head))
      }
      return rows.count == batch
    }
  }

  /// Whether there is anything to do, without a lock.
  private func hasWork() async throws -> Bool {
    let rows = try await pool.query(
      """
      SELECT EXISTS (SELECT FROM audit_logs a WHERE a.seq IS NULL AND \(fragment: Self.isSettled))
        OR EXISTS (SELECT FROM audit_state s LEFT JOIN LATERAL (\(fragment: Self.newestHead)) h ON true
          WHERE s.seq > coalesce(h.seq, 0)
            AND coalesce(h.made_at < clock_timestamp() - \(policy.seconds) * interval '1 s', true))
      """
    )
    return try rows.first?.get(0, as: Bool.self) ?? false
  }

  /// The statement that seals. It does not ask for `seq IS NULL`: the planner would take all unsealed rows for the few
  /// that there mostly are, and compare each with each. The trigger refuses what is sealed already.
  private static func sealing(
    _ rows: [ChainRow],
    after first: Int64,
    hash start: [UInt8],
    key: ChainKey
  ) -> (hash: [UInt8], SQL) {
    var hash = start
    var (numbers, before, hashes, codes): ([Int64], [[UInt8]], [[UInt8]], [[UInt8]]) = ([], [], [], [])
    for (index, row) in rows.enumerated() {
      let seq = first + Int64(index) + 1
      numbers.append(seq)
      before.append(hash)
      hash = row.hash(seq: seq, previous: hash)
      hashes.append(hash)
      codes.append(key.code(of: hash))
    }
    return (
      hash,
      """
      UPDATE audit_logs a SET seq = n.seq, prev_hash = n.before, hash = n.hash, mac = n.code, mac_key = \(key.id)
      FROM unnest(\(rows.map(\.id)), \(numbers), \(before), \(hashes), \(codes)) AS n(id, seq, before, hash, code)
      WHERE a.id = n.id
      """
    )
  }

  private static func moving(to head: ChainHead) -> SQL {
    """
    UPDATE audit_state SET seq = \(head.seq), hash = \(head.hash), made_at = \(fragment: head.madeAt),
      key_number = \(head.key), signature = \(head.signature)
    """
  }

  private static func keeping(_ head: ChainHead) -> SQL {
    """
    INSERT INTO audit_heads (is_checkpoint, seq, hash, made_at, key_number, signature)
    VALUES (false, \(head.seq), \(head.hash), \(fragment: head.madeAt), \(head.key), \(head.signature))
    """
  }
}

/// Why the audit trail could not go on.
package enum AuditError: Error, CustomStringConvertible {
  /// Somebody else sealed rows of the same step, although the chain was locked.
  case sealedTwice
  /// Rows that are to be removed are not as they were sealed.
  case broken(AuditProblem)
  /// The file of heads can not be read or written.
  case file(String)

  package var description: String {
    switch self {
    case .sealedTwice: "Rows of the audit trail were sealed by somebody else meanwhile"
    case .broken(let problem):
      "The audit trail is not intact, so nothing is removed from it: \(problem.text). See `rostrum audit verify`"
    case .file(let text): text
    }
  }
}
