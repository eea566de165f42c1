import FoundationEssentials
import Glibc
import JSONText
import PluginTestKit

/// An adapter that somebody works on: a folder with `manifest.json` and its program, or a manifest alone.
struct PluginDevAdapter: Sendable {
  let manifest: AdapterManifest
  let launch: AdapterLaunch
  let cases: ConformanceCases?
  /// The folder of the manifest, absolute.
  let directory: String
  /// Whether the operand was the folder.
  let isFolder: Bool
  /// The program, or the script that the interpreter runs; absolute.
  let program: String
  /// Folders that the interpreter may read.
  let readPaths: [String]

  static let operand = Command.Operand(name: "WHAT", about: "the folder with manifest.json, or a manifest")
  static let options: [Command.Option] = [
    .value("program", "FILE", "the program; looked for beside the manifest and beside rostrum when left out"),
    .value("cases", "FILE", "posts and answers; conformance.json in the folder or the one above when left out"),
  ]

  /// Finds the files of the operand.
  init(_ invocation: Invocation) throws {
    let what = Self.absolute(invocation.operand(0))
    isFolder = Self.isFolder(what)
    directory = isFolder ? what : Self.parent(of: what)
    let manifestPath = isFolder ? "\(what)/manifest.json" : what
    do {
      manifest = try AdapterManifest(try Self.bytes(manifestPath))
    } catch let error as JSONTextError {
      throw CommandError(.failure, "\(manifestPath) cannot be used: \(error)")
    }
    program = try Self.program(manifest, directory: directory, chosen: invocation.option("program"))
    var environment = AdapterLaunch.bareEnvironment
    environment["SWIFT_ROOT"] = Self.parent(of: program)
    if let interpreter = manifest.interpreter {
      launch = AdapterLaunch(executable: interpreter, arguments: [program], environment: environment)
    } else {
      launch = AdapterLaunch(executable: program, environment: environment)
    }
    // The manifest was checked: a member of another kind was refused.
    readPaths = (try? manifest.document.object().optionalObject("runtime")?.strings("readPaths")) ?? []
    cases = try Self.cases(directory: directory, chosen: invocation.option("cases"))
  }

  /// The cases, for commands that cannot do without.
  func requiredCases() throws(CommandError) -> ConformanceCases {
    guard let cases else {
      throw CommandError(
        .notFound,
        "There is no conformance.json in \(directory) or the folder above; `rostrum plugin new` makes one to begin with"
      )
    }
    return cases
  }

  // MARK: Finding

  private static func program(_ manifest: AdapterManifest, directory: String, chosen: String?) throws -> String {
    if let chosen {
      let path = absolute(chosen)
      guard isFile(path) else { throw CommandError(.notFound, "There is no program \(path)") }
      return path
    }
    let name = manifest.executable
    #if arch(arm64)
    let machine = "linux-aarch64"
    #else
    let machine = "linux-x86_64"
    #endif
    let places = ["\(directory)/\(name)", "\(directory)/\(machine)/\(name)", "\(ownFolder)/\(name)"]
    guard let found = places.first(where: isFile) else {
      throw CommandError(
        .notFound,
        "The manifest names the program “\(name)”, which is not in \(directory); build it, or name it with --program FILE"
      )
    }
    return found
  }

  private static func cases(directory: String, chosen: String?) throws -> ConformanceCases? {
    let places =
      chosen.map { [absolute($0)] } ?? ["\(directory)/conformance.json", "\(parent(of: directory))/conformance.json"]
    guard let path = places.first(where: isFile) else {
      if let chosen { throw CommandError(.notFound, "There is no file \(chosen)") }
      return nil
    }
    do {
      return try ConformanceCases(try bytes(path))
    } catch let error as JSONTextError {
      throw CommandError(.failure, "\(path) cannot be used: \(error)")
    }
  }

  /// The folder of the running program.
  static var ownFolder: String {
    // Without `/proc` nothing is found beside the program, and the search for it says so.
    let path = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "/"
    return parent(of: path)
  }

  static func absolute(_ path: String) -> String {
    let whole = path.hasPrefix("/") ? path : "\(FileManager.default.currentDirectoryPath)/\(path)"
    var parts: [Substring] = []
    for part in whole.split(separator: "/") where part != "." {
      if part == ".." { _ = parts.popLast() } else { parts.append(part) }
    }
    return "/" + parts.joined(separator: "/")
  }

  static func parent(of path: String) -> String {
    "/" + path.split(separator: "/").dropLast().joined(separator: "/")
  }

  static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  static func isFile(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }

  static func bytes(_ path: String) throws(CommandError) -> [UInt8] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw CommandError(.notFound, "The file \(path) cannot be read")
    }
    return Array(data)
  }
}
