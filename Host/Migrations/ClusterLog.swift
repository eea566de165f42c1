internal import Dispatch
internal import Glibc
internal import Logging
internal import Processes

/// Passes what the server writes on its standard error to the log.
final class ClusterLog: Sendable {
  private static let maximumLine = 4_096

  private let descriptor: OwnedDescriptor
  private let logger: Logger

  init(_ descriptor: OwnedDescriptor, logger: Logger) {
    self.descriptor = descriptor
    self.logger = logger
  }

  /// Reads on a thread of its own until the server has closed its end.
  func start() {
    DispatchQueue(label: "postgres.log").async { self.read() }
  }

  private func read() {
    var line: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 8_192)
    while let number = descriptor.rawValue {
      let count = unsafe Glibc.read(number, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      for byte in buffer[..<count] {
        if byte == UInt8(ascii: "\n") {
          write(line)
          line.removeAll(keepingCapacity: true)
        } else if line.count < ClusterLog.maximumLine {
          line.append(byte)
        }
      }
    }
    if !line.isEmpty { write(line) }
    descriptor.close()
  }

  private func write(_ bytes: [UInt8]) {
    let line = String(decoding: bytes, as: UTF8.self)
    let level = ClusterLog.level(of: line)
    logger.log(level, "Message of the database server", ["text": .string(line)])
  }

  /// What callers got as an error of their statement is theirs to report.
  static func level(of line: String) -> LogLevel {
    if line.hasPrefix("PANIC:") { return .error }
    if line.hasPrefix("FATAL:"), !line.contains("the database system is") { return .warning }
    return .debug
  }
}
