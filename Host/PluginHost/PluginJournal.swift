internal import JSONText
internal import Logging
internal import PluginProtocol
internal import Synchronization

/// Brings what a plugin says beside its answers into the host's log, so much a minute.
final class PluginJournal: Sendable {
  /// Lines of each kind a minute.
  static let strayLimit = 100
  static let errorLimit = 300
  static let messageLimit = 300

  private struct Budgets {
    var stray: LogBudget
    var error: LogBudget
    var message: LogBudget
  }

  private let logger: Logger
  private let counters: PluginCounters
  private let budgets: Mutex<Budgets>

  /// - Parameter logger: Has the plugin's id among its fields.
  init(logger: Logger, counters: PluginCounters) {
    self.logger = logger
    self.counters = counters
    let now = ContinuousClock.now
    budgets = Mutex(
      Budgets(
        stray: LogBudget(limit: Self.strayLimit, now: now),
        error: LogBudget(limit: Self.errorLimit, now: now),
        message: LogBudget(limit: Self.messageLimit, now: now)
      )
    )
  }

  /// A line of standard output that is no message.
  ///
  /// - Returns: Whether it was kept.
  func note(stray prefix: [UInt8]) -> Bool {
    counters.change { $0.strayLines += 1 }
    guard let dropped = admit({ $0.stray.admit(now: .now) }) else { return false }
    let line = String(decoding: prefix, as: UTF8.self)
    logger.warning("Plugin wrote a stray line to its output", fields(["line": line], dropped: dropped))
    return true
  }

  /// Bytes of standard error that were read.
  ///
  /// - Returns: How many lines of them may be logged.
  func note(errorBytes count: Int) -> Int {
    counters.change { $0.errorBytes += count }
    return budgets.withLock { $0.error.left(now: .now) }
  }

  /// Lines of standard error that nobody looked at.
  func note(droppedErrorLines count: Int) {
    guard count > 0 else { return }
    counters.change { $0.dropped += count }
    budgets.withLock { $0.error.drop(count) }
  }

  /// A line of standard error.
  func note(errorLine line: String) {
    guard let dropped = admit({ $0.error.admit(now: .now) }) else { return }
    logger.notice("Plugin wrote to standard error", fields(["line": line], dropped: dropped))
  }

  /// An answer to a call that was given up before.
  func noteLateAnswer() {
    guard let dropped = admit({ $0.message.admit(now: .now) }) else { return }
    logger.notice("Plugin answered after the call was given up", fields([:], dropped: dropped))
  }

  /// A notification. Those that nobody knows are ignored, as the protocol asks.
  func note(notification method: String, params: RawJSON) {
    switch method {
    case LogNotification.method:
      guard let dropped = admit({ $0.message.admit(now: .now) }) else { return }
      do {
        log(try LogNotification(json: params), dropped: dropped)
      } catch {
        logger.warning("Plugin sent a log message that cannot be read", ["error": .error(error)])
      }
    case ProgressNotification.method:
      guard let dropped = admit({ $0.message.admit(now: .now) }) else { return }
      do {
        let progress = try ProgressNotification(json: params)
        logger.debug(
          "Plugin reports progress",
          fields(["call": progress.call, "fraction": progress.fraction, "note": progress.note], dropped: dropped)
        )
      } catch {
        logger.warning("Plugin sent a progress message that cannot be read", ["error": .error(error)])
      }
    default:
      break
    }
  }

  private func log(_ message: LogNotification, dropped: Int) {
    var all = fields(["text": message.message], dropped: dropped)
    for field in message.fields.prefix(16) {
      all["plugin." + field.name] = LogValue(field.value)
    }
    logger.log(LogLevel(name: message.level) ?? .info, "Plugin says", all)
  }

  private func fields(_ fields: LogFields, dropped: Int) -> LogFields {
    dropped == 0 ? fields : fields.merging(["droppedBefore": dropped])
  }

  private func admit(_ ask: (inout Budgets) -> Int?) -> Int? {
    let answer = budgets.withLock { ask(&$0) }
    if answer == nil { counters.change { $0.dropped += 1 } }
    return answer
  }
}
