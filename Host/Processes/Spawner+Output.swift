internal import Dispatch
internal import Glibc

/// What a program that ran to its end has written.
package struct CommandOutput: Sendable {
  package let status: ExitStatus
  /// At most `limit` bytes; the rest was read and dropped.
  package let standardOutput: [UInt8]
  package let standardError: [UInt8]
  /// Whether the deadline ended the program.
  package let missedDeadline: Bool
}

extension Spawner {
  /// Runs a program to its end and gathers what it writes. A non-zero exit is a result, not an error.
  ///
  /// - Parameters:
  ///   - request: Its standard streams are replaced by pipes.
  ///   - input: Given to the program's standard input, which is then closed.
  ///   - limit: How many bytes of each output are kept.
  ///   - deadline: When the program is killed.
  package func output(
    of request: SpawnRequest,
    input: [UInt8] = [],
    limit: Int = 1 << 20,
    deadline: Duration = .seconds(60)
  ) async throws(SpawnError) -> CommandOutput {
    var request = request
    request.standardInput = .pipe
    request.standardOutput = .pipe
    request.standardError = .pipe
    let child = try await spawn(request)
    async let written: Void = PipeWork.write(input, to: child.standardInput)
    async let output = PipeWork.read(child.standardOutput, limit: limit)
    async let error = PipeWork.read(child.standardError, limit: limit)
    var status = await child.exit(within: deadline)
    let missedDeadline = status == nil
    if missedDeadline {
      status = await child.terminate(ladder: .immediate)
    }
    await written
    return CommandOutput(
      status: status ?? .exited(-1),
      standardOutput: await output,
      standardError: await error,
      missedDeadline: missedDeadline
    )
  }
}

/// Blocking work on pipes, each on a queue of its own.
private enum PipeWork {
  static func write(_ bytes: [UInt8], to pipe: OwnedDescriptor?) async {
    guard let pipe else { return }
    await onQueue("pipe-writer") {
      var offset = 0
      while let descriptor = pipe.rawValue, offset < bytes.count {
        let count = unsafe bytes[offset...].withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if count > 0 {
          offset += count
        } else if errno != EINTR {
          // The program does not want the rest; its exit code says whether that is a failure.
          break
        }
      }
      pipe.close()
    }
  }

  static func read(_ pipe: OwnedDescriptor?, limit: Int) async -> [UInt8] {
    guard let pipe else { return [] }
    return await onQueue("pipe-reader") {
      var bytes: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 65_536)
      while let descriptor = pipe.rawValue {
        let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
        if count > 0 {
          bytes.append(contentsOf: buffer[..<min(count, limit - bytes.count)])
        } else if count == 0 || errno != EINTR {
          break
        }
      }
      pipe.close()
      return bytes
    }
  }

  private static func onQueue<Value: Sendable>(
    _ label: String,
    _ body: @escaping @Sendable () -> Value
  ) async -> Value {
    await withCheckedContinuation { continuation in
      DispatchQueue(label: label).async { continuation.resume(returning: body()) }
    }
  }
}
