import Foundation
import PluginTestKit

/// The adapters that the suite is tried on.
enum Adapters {
  static let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
  /// Other tests run at the same time, so that a second may be a long one.
  private static let busy = 8
  static let python = "/usr/bin/python3"

  static func bytes(_ path: String) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(fileURLWithPath: "\(root)/\(path)")))
  }

  /// The suite over one of the examples.
  static func example(_ name: String, launch: AdapterLaunch, patience: Int = 1) throws -> ConformanceSuite {
    ConformanceSuite(
      launch: launch,
      manifest: try AdapterManifest(try bytes("SDK/Examples/\(name)/bundle/manifest.json")),
      cases: try ConformanceCases(try bytes("SDK/Examples/\(name)/conformance.json")),
      directory: "\(root)/SDK/Examples/\(name)/bundle",
      patience: patience
    )
  }

  /// The suite over an adapter of this repository, whose program lies beside the tests.
  static func firstParty(_ name: String) throws -> ConformanceSuite {
    let folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
    return ConformanceSuite(
      launch: AdapterLaunch(executable: folder.appendingPathComponent("plugin-\(name)").path),
      manifest: try AdapterManifest(try bytes("plugin-manifests/\(name).json")),
      cases: try ConformanceCases(try bytes("Tests/Conformance/\(name).json")),
      patience: busy
    )
  }

  static func examplePython() throws -> ConformanceSuite {
    let script = "\(root)/SDK/Examples/python/bundle/adapter.py"
    return try example("python", launch: AdapterLaunch(executable: python, arguments: [script]), patience: busy)
  }

  /// Compiles the example in C into a folder of its own.
  static func exampleC() throws -> ConformanceSuite {
    let program = NSTemporaryDirectory() + "rostrum-example-c-\(ProcessInfo.processInfo.processIdentifier)"
    let compiler = Process()
    compiler.executableURL = URL(fileURLWithPath: "/usr/bin/gcc")
    compiler.arguments = [
      "-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-static", "-o", program, "\(root)/SDK/Examples/c/adapter.c",
      "-ljansson", "-pthread",
    ]
    try compiler.run()
    compiler.waitUntilExit()
    guard compiler.terminationStatus == 0 else { throw AdapterFailure(description: "gcc failed") }
    return try example("c", launch: AdapterLaunch(executable: program), patience: busy)
  }
}

extension ConformanceReport {
  /// What failed, one line each.
  var failures: String {
    entries.filter { $0.outcome == .failed }.map { "\($0.id): \($0.detail ?? "")" }.joined(separator: "\n")
  }
}

/// An adapter could not be prepared.
struct AdapterFailure: Error, CustomStringConvertible {
  let description: String
}
