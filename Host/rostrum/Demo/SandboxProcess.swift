import Dispatch
import Glibc
import JSONDocument
import Processes

/// The simulated platforms as a program of their own, which ends with this one.
struct SandboxProcess: Sendable {
  let origin: String
  private let child: ChildProcess

  /// Starts the program on a free port and waits until it listens.
  init(executable: String, spawner: Spawner, arguments: [String] = []) async throws {
    let request = SpawnRequest(
      executable: executable,
      arguments: ["--port", "0", "--exit-with-stdin"] + arguments,
      environment: ["LANG": "C.UTF-8", "TZ": "UTC"],
      standardInput: .pipe,
      standardOutput: .pipe,
      standardError: .inherit
    )
    do {
      child = try await spawner.spawn(request)
    } catch {
      throw CommandError(.failure, "The sandbox does not start: \(error). Run `make release` first")
    }
    let output = child.standardOutput
    let line: String = await withCheckedContinuation { continuation in
      DispatchQueue(label: "sandbox").async { continuation.resume(returning: Self.firstLine(output)) }
    }
    guard let origin = try? JSONValue.parse(Array(line.utf8))["listening"]?.stringValue else {
      child.killEverything()
      throw CommandError(.failure, "The sandbox said “\(line.prefix(100))” instead of the address it listens on")
    }
    self.origin = origin
  }

  func stop() async {
    await child.terminate()
  }

  private static func firstLine(_ output: OwnedDescriptor?) -> String {
    var bytes: [UInt8] = []
    var byte: UInt8 = 0
    while let descriptor = output?.rawValue, bytes.count < 4_096 {
      let count = unsafe read(descriptor, &byte, 1)
      if count < 0 && errno == EINTR { continue }
      if count <= 0 || byte == UInt8(ascii: "\n") { break }
      bytes.append(byte)
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
