/// One thing that was logged.
package struct LogRecord: Sendable, Equatable {
  /// Microseconds since 1970-01-01T00:00:00Z.
  package let time: Int64
  package let level: LogLevel
  /// A constant sentence; everything that varies stands in `fields`.
  package let message: String
  package let fields: LogFields

  package init(time: Int64, level: LogLevel, message: String, fields: LogFields) {
    self.time = time
    self.level = level
    self.message = message
    self.fields = fields
  }
}

/// A place where log records go.
///
/// `write` is called on any thread, also from cooperative ones, so it must not wait for the outside world.
package protocol LogSink: Sendable {
  func write(_ record: LogRecord)
}
