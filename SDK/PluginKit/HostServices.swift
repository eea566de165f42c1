import FoundationEssentials
import JSONText
import PluginProtocol
package import PluginTransport

/// What the host does for a call that it made.
public struct HostServices: Sendable {
  /// Names the call in every request.
  public let call: String
  private let connection: Connection
  private let streams: StreamTable

  /// - Parameter streams: Gets the `$/stream` messages of the connection.
  package init(call: String, connection: Connection, streams: StreamTable = StreamTable()) {
    self.call = call
    self.connection = connection
    self.streams = streams
  }

  /// Makes one HTTP request.
  func http(_ request: PerformHTTPRequest) async throws(PlatformError) -> HTTPAnswer {
    if case .form(let fields) = request.body, Set(fields.map(\.name)).count < fields.count {
      throw PlatformError(.invalidParams, "a form names a field twice", field: "form")
    }
    return try await connection.call(request)
  }

  /// Makes one HTTP request whose answer is a stream.
  func open(_ request: PerformHTTPRequest) async throws(PlatformError) -> HTTPStreamAnswer {
    let answer = try await connection.call(OpenHTTPStreamRequest(request))
    guard let stream = answer.stream else { return .answer(answer.answer) }
    return .events(HTTPEvents(stream: stream, answer: answer.answer, host: self, inbox: streams.claim(stream)))
  }

  /// Makes room for more events.
  func credit(_ stream: String, events: Int64, bytes: Int64) async throws(PlatformError) {
    _ = try await connection.call(CreditHTTPStreamRequest(call: call, stream: stream, events: events, bytes: bytes))
  }

  /// Forgets a stream that has ended.
  func forget(_ stream: String) {
    streams.forget(stream)
  }

  /// Closes a stream that nobody reads any more, without waiting.
  func abandon(_ stream: String) {
    guard streams.isKnown(stream) else { return }
    streams.forget(stream)
    let (connection, request) = (connection, CloseHTTPStreamRequest(call: call, stream: stream))
    // A task of its own, because nobody is left to wait; a failure means that the stream is gone already.
    Task { _ = try? await connection.call(request) }
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
