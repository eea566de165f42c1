import Audit
import AuditChain
import FoundationEssentials
import JSONDocument
import Server

/// `rostrum audit …`
enum AuditCommands {
  static let all = [verify, list]

  private static let verify = Command(
    words: ["audit", "verify"],
    summary: "Look through the whole audit trail: every row, every signed head, and that none is gone"
  ) { invocation in
    let configuration = try invocation.configuration()
    let terminal = invocation.terminal
    let report = try await invocation.withPool { pool in
      let audit = try await HostAudit.open(configuration, pool: pool, logger: invocation.quietLogger)
      var told: Int64 = 0
      return try await audit.verify { rows in
        guard terminal.isColoured, !invocation.wantsJSON, rows >= told + 100_000 else { return }
        told = rows
        terminal.complain("\(rows) rows are in order …")
      }
    }
    invocation.show(report.json) {
      terminal.print(
        "\(report.rows) sealed rows\(report.checkpoint.map { " after the checkpoint at row \($0)" } ?? ""), "
          + "\(report.heads) signed heads in the database, \(report.anchored) in \(configuration.auditFolder); "
          + "\(report.unsealed) rows wait to be sealed."
      )
      for problem in report.problems.prefix(20) {
        terminal.print(terminal.styled("row \(problem.seq): \(problem.kind.rawValue): \(problem.text)", .red))
      }
      if report.problems.count > 20 { terminal.print("… and \(report.problems.count - 20) more") }
      let first = report.problems.first
      terminal.print(
        first.map { "The trail is broken; the first broken row is \($0.seq)." } ?? "The trail is whole."
      )
    }
    return report.isIntact ? .success : .failure
  }

  private static let list = Command(
    words: ["audit", "list"],
    summary: "Show who did what, newest first",
    options: [
      .value("site", "ID", "only this site"), .value("user", "ID", "only what this user did"),
      .value("action", "PREFIX", "only actions whose names begin so, such as vault."),
      .value("subject", "SUBJECT", "only what was done to this, such as connection:12"),
      .value("since", "INSTANT", "from then on, such as 2026-11-21T09:00:00Z"),
      .value("until", "INSTANT", "before then"),
      .value("limit", "NUMBER", "rows, 1 to 1000; 50 when left out"),
    ]
  ) { invocation in
    var filter = AuditLog.Filter()
    filter.site = try invocation.option("site").map { text throws(CommandError) in try invocation.id(text, "--site") }
    filter.user = try invocation.option("user").map { text throws(CommandError) in try invocation.id(text, "--user") }
    filter.actionPrefix = invocation.option("action")
    filter.subject = invocation.option("subject")
    filter.since = try instant(invocation, "since")
    filter.until = try instant(invocation, "until")
    let limit = Int(invocation.option("limit") ?? "50") ?? 0
    guard (1...1000).contains(limit) else {
      throw CommandError(
        .usage,
        "--limit is “\(invocation.option("limit") ?? "")”; allowed is a whole number from 1 to 1000"
      )
    }
    let rows = try await invocation.withPool { [filter] in try await AuditLog(pool: $0).list(filter, limit: limit) }
    let shown = try rows.map { try $0.json() }
    invocation.show(["rows": .array(shown)]) {
      invocation.terminal.table(
        ["row", "at", "site", "who", "what", "to", "from"],
        rows.map { row in
          [
            row.seq.map { "\($0)" } ?? "…", RFC3339.format(row.at), row.site.map { "\($0)" } ?? "",
            row.userName ?? "", row.action, row.subject, row.address ?? "",
          ]
        }
      )
    }
    return .success
  }

  private static func instant(_ invocation: Invocation, _ name: String) throws(CommandError) -> Date? {
    guard let text = invocation.option(name) else { return nil }
    guard let date = RFC3339.parse(text) else {
      throw CommandError(.usage, "--\(name) is “\(text)”; allowed is an instant such as 2026-11-21T09:00:00Z")
    }
    return date
  }
}
