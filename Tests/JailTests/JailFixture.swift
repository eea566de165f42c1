import Foundation
import Glibc
import Logging
import Processes
import Testing

@testable import Jail

/// A folder that everybody may read, with a copy of the launcher, and jails made with it.
final class JailFixture: Sendable {
  static let programs = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path
  static let python = "/usr/bin/python3"
  /// Where the interpreter's own files lie.
  static let pythonPaths = SmallFile.names(in: "/usr/lib").filter { $0.hasPrefix("python3") }.map { "/usr/lib/\($0)" }

  let folder: String
  let spawner: Spawner
  let logger = Logger(sink: MemorySink())

  init() throws {
    var template = Array("/tmp/rostrum-jail-tests-XXXXXX".utf8CString)
    let made = unsafe mkdtemp(&template) != nil
    try #require(made)
    folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    unsafe chmod(folder, 0o755)
    spawner = try Spawner()
    try copy("rostrum-jail")
  }

  deinit {
    // What can not be removed lies in the folder for temporary files.
    try? FileManager.default.removeItem(atPath: folder)
  }

  var launcher: String { "\(folder)/rostrum-jail" }

  @discardableResult
  func copy(_ name: String) throws -> String {
    try FileManager.default.copyItem(atPath: "\(Self.programs)/\(name)", toPath: "\(folder)/\(name)")
    unsafe chmod("\(folder)/\(name)", 0o555)
    return "\(folder)/\(name)"
  }

  func jail(best: JailTier = .a) async -> Jail {
    await Jail.probe(launcher: launcher, spawner: spawner, logger: logger, best: best)
  }

  func open(_ path: String) throws -> OwnedDescriptor {
    let descriptor = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC)
    try #require(descriptor >= 0, "\(path)")
    return OwnedDescriptor(adopting: descriptor)
  }

  /// A Python script in a folder of its own.
  func script(_ text: String, limits: JailLimits = JailLimits()) throws -> JailedProgram {
    let directory = "\(folder)/\(UInt32.random(in: 0...UInt32.max))"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
    let path = "\(directory)/main.py"
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    for item in [directory, path] { unsafe chmod(item, 0o555) }
    return JailedProgram(
      plugin: "test.script",
      image: try open(path),
      name: "main.py",
      directory: directory,
      interpreter: JailedProgram.Interpreter(path: Self.python, script: path),
      readPaths: Self.pythonPaths,
      environment: ["LANG": "C.UTF-8", "TZ": "UTC"],
      limits: limits
    )
  }

  /// Runs a program to its end.
  func run(
    _ program: JailedProgram,
    in jail: Jail,
    input: String = ""
  ) async throws -> (
    status: Processes.ExitStatus, output: String, error: String
  ) {
    let request = try jail.request(for: program)
    let output = try await spawner.output(of: request, input: Array(input.utf8), deadline: .seconds(60))
    try #require(!output.missedDeadline)
    return (
      output.status, String(decoding: output.standardOutput, as: UTF8.self),
      String(decoding: output.standardError, as: UTF8.self)
    )
  }
}
