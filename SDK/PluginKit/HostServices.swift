import FoundationEssentials
import JSONText
import PluginProtocol
package import PluginTransport

/// What the host does for a call that it made.
public struct HostServices: Sendable {
  /// Names the call in every request.
  public let call: String
  private let connection: Connection

  package init(call: String, connection: Connection) {
    self.call = call
    self.connection = connection
  }

  /// Makes one HTTP request.
  func http(_ request: PerformHTTPRequest) async throws(PlatformError) -> HTTPAnswer {
    if case .form(let fields) = request.body, Set(fields.map(\.name)).count < fields.count {
      throw PlatformError(.invalidParams, "a form names a field twice", field: "form")
    }
    return try await connection.call(request)
  }

  /// Writes a line to the host's log.
  func log(_ level: LogLevel, _ message: String, _ fields: [String: String]) {
    let sorted = fields.sorted { $0.key < $1.key }.map { HTTPField($0.key, $0.value) }
    connection.notify(LogNotification(level: level.rawValue, message: message, fields: sorted))
  }

  /// Says how far the call has come.
  func progress(_ fraction: Double?, _ note: String?) {
    connection.notify(ProgressNotification(call: call, fraction: fraction, note: note))
  }

  /// Asks for the facts of a file.
  func stat(_ handle: String) async throws(PlatformError) -> MediaItem {
    try await connection.call(StatMediaRequest(call: call, handle: handle))
  }

  /// Reads bytes of a file.
  func read(_ handle: String, from offset: Int64, count: Int64) async throws(PlatformError) -> [UInt8] {
    let request = ReadMediaRequest(call: call, handle: handle, offset: offset, length: count)
    let answer = try await connection.call(request)
    guard let data = Data(base64Encoded: answer.base64) else {
      throw PlatformError(.protocolViolation, "the host's bytes are not Base64")
    }
    return Array(data)
  }

  static func milliseconds(_ duration: Duration) -> Int64 {
    let (seconds, attoseconds) = duration.components
    let whole = seconds.multipliedReportingOverflow(by: 1_000)
    return whole.overflow ? Int64.max : whole.partialValue + attoseconds / 1_000_000_000_000_000
  }
}
