import JSONDocument
import Migrations
import Server

/// `rostrum migrate`
enum MigrateCommand {
  static let command = Command(
    words: ["migrate"],
    summary: "Bring the database's schema up to date",
    options: [.flag("status", "only show what is applied and what is pending")]
  ) { invocation in
    let configuration = try invocation.configuration()
    let logger = invocation.quietLogger
    return try await HostDatabase.using(configuration, logger: logger) { database in
      if invocation.flag("status") {
        show(try await database.migrationStatus(configuration.migrations, logger: logger), invocation)
        return .success
      }
      let applied = try await database.migrate(configuration.migrations, logger: logger)
      invocation.show(["applied": .array(applied.map { .string($0) })]) {
        for file in applied { invocation.terminal.print("applied \(file)") }
        if applied.isEmpty { invocation.terminal.print("The database is up to date.") }
      }
      return .success
    }
  }

  private static func show(_ status: [Migrator.Status], _ invocation: Invocation) {
    let rows = status.map { row in
      JSONValue.object([
        "number": .int(Int64(row.number)), "file": .string(row.file), "state": .string(word(row)),
        "appliedAt": row.appliedAt.map { .string(RFC3339.format($0)) } ?? .null,
      ])
    }
    invocation.show(["migrations": .array(rows)]) {
      invocation.terminal.table(
        ["file", "state", "applied at"],
        status.map { [$0.file, word($0), $0.appliedAt.map { RFC3339.format($0) } ?? ""] }
      )
    }
  }

  private static func word(_ status: Migrator.Status) -> String {
    if status.isMissing { return "unknown to this version" }
    if status.isChanged { return "changed after it was applied" }
    return status.appliedAt == nil ? "pending" : "applied"
  }
}
