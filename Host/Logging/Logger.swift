internal import Glibc

/// Writes log records to a sink, with fields that stand in every record.
///
/// A part that logs takes its logger from a parameter or from `Logger.current`; it never makes one.
package struct Logger: Sendable {
  /// The logger of the running task; discards everything until somebody binds one.
  @TaskLocal package static var current = Logger(sink: DiscardingSink(), minimumLevel: .fault)

  private let sink: any LogSink
  private let fields: LogFields

  /// Records below this level are dropped before their fields are computed.
  package var minimumLevel: LogLevel

  package init(sink: any LogSink, minimumLevel: LogLevel = .info, fields: LogFields = [:]) {
    self.sink = sink
    self.minimumLevel = minimumLevel
    self.fields = fields
  }

  /// The same logger with more fields in every record.
  package func with(_ more: LogFields) -> Logger {
    Logger(sink: sink, minimumLevel: minimumLevel, fields: fields.merging(more))
  }

  package func debug(_ message: StaticString, _ fields: @autoclosure () -> LogFields = LogFields()) {
    log(.debug, message, fields())
  }

  package func info(_ message: StaticString, _ fields: @autoclosure () -> LogFields = LogFields()) {
    log(.info, message, fields())
  }

  package func notice(_ message: StaticString, _ fields: @autoclosure () -> LogFields = LogFields()) {
    log(.notice, message, fields())
  }

  package func warning(_ message: StaticString, _ fields: @autoclosure () -> LogFields = LogFields()) {
    log(.warning, message, fields())
  }

  package func error(_ message: StaticString, _ fields: @autoclosure () -> LogFields = LogFields()) {
    log(.error, message, fields())
  }

  package func fault(_ message: StaticString, _ fields: @autoclosure () -> LogFields = LogFields()) {
    log(.fault, message, fields())
  }

  /// Writes a record when the level is high enough.
  package func log(
    _ level: LogLevel,
    _ message: StaticString,
    _ fields: @autoclosure () -> LogFields = LogFields()
  ) {
    guard level >= minimumLevel else { return }
    let record = LogRecord(
      time: Logger.now(),
      level: level,
      message: message.description,
      fields: self.fields.merging(fields())
    )
    sink.write(record)
  }

  private static func now() -> Int64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
  }
}

private struct DiscardingSink: LogSink {
  func write(_ record: LogRecord) {}
}

/// Runs the body and logs what it throws, for work whose failure changes nothing for the caller.
///
/// - Parameter activity: What was being done, such as "Closing the socket".
@discardableResult
package func orLog<Value>(
  _ activity: StaticString,
  _ logger: Logger = .current,
  _ body: () throws -> Value
) -> Value? {
  do {
    return try body()
  } catch {
    logger.error(activity, ["error": .error(error)])
    return nil
  }
}

/// Runs the asynchronous body and logs what it throws.
@discardableResult
package func orLog<Value>(
  _ activity: StaticString,
  _ logger: Logger = .current,
  _ body: () async throws -> Value
) async -> Value? {
  do {
    return try await body()
  } catch {
    logger.error(activity, ["error": .error(error)])
    return nil
  }
}
