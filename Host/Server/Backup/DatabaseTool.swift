internal import FoundationEssentials
internal import Migrations
internal import Postgres
internal import Processes

/// Runs PostgreSQL's own programs against a database.
struct DatabaseTool: Sendable {
  private let binaries: PostgresBinaries
  private let database: Postgres.Configuration
  private let spawner: Spawner

  /// A dump of a large database takes its time; this only keeps a hung program from staying for ever.
  private static let deadline: Duration = .seconds(24 * 3600)

  /// Finds programs that are as new as the server: older ones refuse it.
  init(_ configuration: HostConfiguration, database: Postgres.Configuration, version: Int) async throws {
    let spawner = try Spawner()
    self.spawner = spawner
    self.database = database
    binaries = try await PostgresBinaries.find(
      in: configuration.postgresBinaries,
      version: version,
      spawner: spawner
    )
  }

  /// - Throws: ``StartError`` with the program's last words when it fails.
  func run(_ program: String, _ arguments: [String]) async throws {
    let path = binaries.directory + "/" + program
    guard FileManager.default.isExecutableFile(atPath: path) else {
      throw StartError("\(path) is missing; install Debian's postgresql-client-\(binaries.majorVersion)")
    }
    let environment = database.toolEnvironment.merging(["LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"]) { $1 }
    let output = try await spawner.output(
      of: SpawnRequest(executable: path, arguments: arguments, environment: environment),
      deadline: Self.deadline
    )
    guard output.status.isSuccess else {
      let words = database.redacted(String(decoding: output.standardError.suffix(2_000), as: UTF8.self))
      throw StartError("\(program) ended with \(output.status): \(words)")
    }
  }

  /// The major version of the server.
  static func version(_ session: Session) async throws -> Int {
    let rows = try await session.query("SELECT current_setting('server_version_num')::int8 / 10000 AS major")
    return Int(try rows.first?.get("major", as: Int64.self) ?? 0)
  }
}
