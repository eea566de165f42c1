internal import FoundationEssentials
internal import Glibc
package import Processes

/// The folder with the programs of one PostgreSQL version.
package struct PostgresBinaries: Hashable, Sendable {
  /// The oldest version whose features the schema needs.
  package static let minimumVersion = 15

  package let directory: String
  package let majorVersion: Int

  package var server: String { directory + "/postgres" }
  package var initializer: String { directory + "/initdb" }

  /// Finds the programs: in the given folder only, else the newest of Debian's, else by `pg_config` and `PATH`.
  ///
  /// - Parameters:
  ///   - directory: What the operator set, or nil.
  ///   - version: The version that existing data needs, or nil for the newest.
  package static func find(
    in directory: String?,
    version: Int? = nil,
    spawner: Spawner
  ) async throws -> PostgresBinaries {
    if let directory {
      if let binaries = await inspect(directory, spawner), binaries.fits(version) { return binaries }
      throw ClusterError(.noBinaries, "\(directory) does not hold PostgreSQL \(wanted(version))")
    }
    let debian = debianDirectories.compactMap(ofDebian).filter { $0.fits(version) }
    if let newest = debian.max(by: { $0.majorVersion < $1.majorVersion }) { return newest }
    for directory in await otherDirectories(spawner) {
      if let binaries = await inspect(directory, spawner), binaries.fits(version) { return binaries }
    }
    throw ClusterError(
      .noBinaries,
      "PostgreSQL \(wanted(version)) is not installed: run `apt-get install postgresql`, or set DATABASE_URL"
    )
  }

  private func fits(_ version: Int?) -> Bool {
    majorVersion >= PostgresBinaries.minimumVersion && (version == nil || majorVersion == version)
  }

  private static func wanted(_ version: Int?) -> String {
    version.map { String($0) } ?? "\(minimumVersion) or newer"
  }

  private static var debianDirectories: [String] {
    let base = "/usr/lib/postgresql"
    // The folder is missing where PostgreSQL comes from elsewhere; the other places remain.
    let versions = (try? FileManager.default.contentsOfDirectory(atPath: base)) ?? []
    return versions.map { "\(base)/\($0)/bin" }
  }

  /// Debian's folders carry the version in their name, which saves starting a program.
  private static func ofDebian(_ directory: String) -> PostgresBinaries? {
    let parts = directory.split(separator: "/")
    guard parts.count == 5, let version = Int(parts[3]), isComplete(directory) else { return nil }
    return PostgresBinaries(directory: directory, majorVersion: version)
  }

  private static func otherDirectories(_ spawner: Spawner) async -> [String] {
    let path = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
    let directories = path.split(separator: ":").map(String.init)
    var found: [String] = []
    if let directory = directories.first(where: { unsafe access($0 + "/pg_config", X_OK) == 0 }),
      let text = await output(of: directory + "/pg_config", "--bindir", spawner)
    {
      found.append(text)
    }
    return found + directories + ["/usr/local/pgsql/bin"]
  }

  private static func isComplete(_ directory: String) -> Bool {
    ["/postgres", "/initdb"].allSatisfy { unsafe access(directory + $0, X_OK) == 0 }
  }

  private static func inspect(_ directory: String, _ spawner: Spawner) async -> PostgresBinaries? {
    guard isComplete(directory),
      let text = await output(of: directory + "/postgres", "--version", spawner),
      let version = majorVersion(in: text)
    else { return nil }
    return PostgresBinaries(directory: directory, majorVersion: version)
  }

  /// Reads a text such as `postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)`.
  package static func majorVersion(in text: String) -> Int? {
    let words = text.split(separator: " ")
    guard let name = words.firstIndex(of: "(PostgreSQL)"), words.index(after: name) < words.endIndex else { return nil }
    return Int(words[words.index(after: name)].prefix { $0.isASCII && $0.isNumber })
  }

  /// Returns the first line that a program prints, or nil when it fails: then it is not the program looked for.
  private static func output(of program: String, _ argument: String, _ spawner: Spawner) async -> String? {
    let request = SpawnRequest(executable: program, arguments: [argument], environment: ["LC_ALL": "C"])
    guard let output = try? await spawner.output(of: request, deadline: .seconds(5)), output.status.isSuccess else {
      return nil
    }
    return String(decoding: output.standardOutput, as: UTF8.self).split(separator: "\n").first.map(String.init)
  }
}
