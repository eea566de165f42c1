internal import FoundationEssentials
package import Postgres
internal import Vault

/// Looks through the whole audit trail: every row, every signed head, and that none is gone.
package struct AuditVerifier: Sendable {
  /// Rows that wait for longer than this, in seconds, tell that no host seals.
  package static let patience = 60
  private static let pageSize = 2_000

  private let keys: ChainKeys

  package init(keys: ChainKeys) {
    self.keys = keys
  }

  /// Looks in one snapshot of the database.
  ///
  /// - Parameters:
  ///   - anchored: What this host keeps apart from the database.
  ///   - progress: Told how many rows were seen, now and then.
  package func verify(
    _ pool: Pool,
    anchored: HeadArchive.Content,
    progress: (Int64) -> Void = { _ in }
  ) async throws -> AuditReport {
    try await pool.transaction { tx in
      try await tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
      return try await verify(anchored: anchored, progress: progress) { try await tx.query($0) }
    }
  }

  /// - Parameter query: Runs a statement; all of them in one snapshot.
  func verify(
    anchored: HeadArchive.Content,
    progress: (Int64) -> Void = { _ in },
    query: (SQL) async throws -> [Row]
  ) async throws -> AuditReport {
    let chain: UUID = try await query("SELECT id FROM installation")[0].get(0)
    var report = AuditReport(chain: chain)
    var problems = anchored.problems
    report.anchored = anchored.heads.count

    let heads = try await heads(of: chain, query)
    report.heads = heads.count { $0.kind == .head }
    var valid: [ChainHead] = []
    for head in heads + anchored.heads + (anchored.tip.map { [$0] } ?? []) {
      if let problem = try await problem(with: head, chain) { problems.append(problem) } else { valid.append(head) }
    }
    let begin = valid.filter { $0.kind == .checkpoint }.max { $0.seq < $1.seq }
    report.checkpoint = begin?.seq

    var walk = ChainWalk(after: begin?.seq ?? 0, hash: begin?.hash ?? ChainHead.genesis(chain), keys: keys)
    let expected = Dictionary(grouping: valid.filter { $0.seq > walk.seq }, by: \.seq)
    var broken: AuditProblem?
    walking: while true {
      let page = try await query(ChainLink.page(after: walk.seq, limit: Self.pageSize))
      for row in page {
        let link = try ChainLink(row)
        broken = try await walk.take(link) {
          try await query(ChainLink.page(after: link.seq, limit: 1)).first.map { row in try ChainLink(row) }
        }
        if broken != nil { break walking }
        report.rows += 1
        for head in expected[link.seq] ?? [] where head.hash != link.hash {
          problems.append(AuditProblem(link.seq, .head, "row \(link.seq) is another one than a head signed for"))
        }
      }
      progress(report.rows)
      if page.count < Self.pageSize { break }
    }
    report.last = walk.seq
    if let broken {
      problems.append(broken)
    } else {
      let state: Int64 = try await query("SELECT seq FROM audit_state")[0].get(0)
      let known = max(state, expected.keys.max() ?? 0)
      if known > walk.seq {
        let text = "the trail ends at row \(walk.seq), but had \(known) rows; the newest ones are gone"
        problems.append(AuditProblem(walk.seq + 1, .truncated, text))
      }
    }
    try await lookAtRest(&report, &problems, after: walk.seq, query)
    report.problems = problems.sorted { ($0.seq, $0.kind.rawValue) < ($1.seq, $1.kind.rawValue) }
    return report
  }

  private func heads(of chain: UUID, _ query: (SQL) async throws -> [Row]) async throws -> [ChainHead] {
    try await query("SELECT \(fragment: ChainHead.columns), h.is_checkpoint FROM audit_heads h ORDER BY h.seq").map {
      row in
      try ChainHead(row, kind: row.get("is_checkpoint", as: Bool.self) ? .checkpoint : .head, chain: chain)
    }
  }

  private func problem(with head: ChainHead, _ chain: UUID) async throws -> AuditProblem? {
    guard head.chain == chain else {
      return AuditProblem(head.seq, .head, "the head of row \(head.seq) belongs to another installation")
    }
    do {
      if head.isValid(under: try await keys.key(head.key)) { return nil }
    } catch VaultError.unreadable {
      // It names a key that is none.
    }
    return AuditProblem(head.seq, .head, "the \(head.kind.rawValue) of row \(head.seq) has a wrong signature")
  }

  private func lookAtRest(
    _ report: inout AuditReport,
    _ problems: inout [AuditProblem],
    after last: Int64,
    _ query: (SQL) async throws -> [Row]
  ) async throws {
    let row = try await query(
      """
      SELECT count(*) AS waiting, count(*) FILTER (WHERE \(fragment: AuditSealer.isSettled)
        AND a.created_at < clock_timestamp() - \(Double(Self.patience)) * interval '1 s') AS late
      FROM audit_logs a WHERE a.seq IS NULL
      """
    )[0]
    report.unsealed = try row.get("waiting")
    let late: Int64 = try row.get("late")
    if late > 0 {
      let text = "\(late) rows wait for more than \(Self.patience) s to be sealed; does a host run?"
      problems.append(AuditProblem(last + 1, .unsealed, text))
    }
  }
}
