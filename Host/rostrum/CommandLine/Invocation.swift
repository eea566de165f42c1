import JSONDocument
import Logging
import Migrations
import Postgres
import Server

/// One call of a command: its arguments, and what it needs from the program around it.
struct Invocation: Sendable {
  let arguments: Arguments
  /// As it was before the secrets were wiped from the process.
  let environment: [String: String]
  let terminal: Terminal
  let sink: JSONLinesSink

  var wantsJSON: Bool { arguments.flags.contains("json") }

  func option(_ name: String) -> String? { arguments.values[name] }

  func flag(_ name: String) -> Bool { arguments.flags.contains(name) }

  func operand(_ place: Int) -> String { arguments.operands[place] }

  /// An operand that may be left out.
  func optionalOperand(_ place: Int) -> String? {
    arguments.operands.indices.contains(place) ? arguments.operands[place] : nil
  }

  /// Reads a row's number.
  func id(_ text: String, _ name: String) throws(CommandError) -> Int64 {
    guard let id = Int64(text), id > 0 else {
      throw CommandError(.usage, "\(name) is “\(text)”; allowed is a whole number from 1")
    }
    return id
  }

  func configuration() throws -> HostConfiguration {
    try HostConfiguration.load(environment: environment, file: option("config"))
  }

  /// The log of a command that ends by itself: only what went wrong, so that its output stays readable.
  var quietLogger: Logger { Logger(sink: sink, minimumLevel: .error) }

  /// Runs the body with a pool over the host's database, whether the host runs or not.
  func withPool<Value>(_ body: (Pool) async throws -> Value) async throws -> Value {
    let configuration = try configuration()
    let logger = quietLogger
    return try await HostDatabase.using(configuration, logger: logger) { database in
      try await Self.requireSchema(database, configuration, logger)
      let pool = Pool(database.pooled, size: 2, logger: logger)
      do {
        let value = try await body(pool)
        await pool.close()
        return value
      } catch {
        await pool.close()
        throw error
      }
    }
  }

  /// Makes the schema of a new database; one that is behind is left to the operator, because hosts may use it.
  private static func requireSchema(
    _ database: HostDatabase,
    _ configuration: HostConfiguration,
    _ logger: Logger
  ) async throws {
    let status = try await database.migrationStatus(configuration.migrations, logger: logger)
    let pending = status.filter { $0.appliedAt == nil }
    if pending.isEmpty { return }
    guard pending.count == status.count else {
      throw CommandError(.failure, "The database lacks \(pending.count) migrations; run `rostrum migrate`")
    }
    try await database.migrate(configuration.migrations, logger: logger)
  }

  // MARK: Output

  /// Prints the value for programs, or runs the body for people.
  func show(_ value: JSONValue, _ body: () -> Void) {
    if wantsJSON {
      terminal.print(value.text())
    } else {
      body()
    }
  }
}
