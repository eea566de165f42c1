internal import CPostgres
internal import Dispatch
internal import Glibc
package import Logging
internal import Synchronization

/// Listens on channels over a dedicated connection and wakes whoever waits for them.
///
/// A wake-up only says "look again". Every new connection wakes all, because notifications may have been missed.
package final class Listener: Sendable {
  private struct State {
    var subscribers: [UInt64: (channel: String?, continuation: AsyncStream<Void>.Continuation)] = [:]
    var nextSubscriber: UInt64 = 0
    var isStarted = false
    var isConnected = false
    var isClosed = false
    var isFinished = false
    var closing: [CheckedContinuation<Void, Never>] = []
  }

  private let configuration: Configuration
  private let channels: [String]
  private let backoff: Backoff
  private let logger: Logger
  private let wake: WakeDescriptor
  private let queue = DispatchQueue(label: "postgres.listener")
  private let state = Mutex(State())

  /// Makes a listener that does nothing before ``start()``.
  package init(
    _ configuration: Configuration,
    channels: [String],
    backoff: Backoff = Backoff(),
    logger: Logger = .current
  ) throws(PostgresError) {
    self.configuration = configuration
    self.channels = channels
    self.backoff = backoff
    self.logger = logger
    wake = try WakeDescriptor()
  }

  /// Connects in the background and keeps listening until ``close()``.
  package func start() {
    let mustStart = state.withLock { state in
      guard !state.isStarted, !state.isClosed else { return false }
      state.isStarted = true
      return true
    }
    if mustStart {
      queue.async { self.run() }
    }
  }

  /// Whether the connection stands, for health.
  package var isConnected: Bool { state.withLock { $0.isConnected } }

  /// Returns the wake-ups of one channel, or of all; several that nobody took yet are one.
  package func wakeUps(_ channel: String? = nil) -> AsyncStream<Void> {
    let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let id: UInt64? = state.withLock { state in
      guard !state.isClosed else { return nil }
      state.nextSubscriber += 1
      state.subscribers[state.nextSubscriber] = (channel, continuation)
      // Notifications before this moment are gone, so the first look is due at once.
      if state.isConnected { continuation.yield() }
      return state.nextSubscriber
    }
    guard let id else {
      continuation.finish()
      return stream
    }
    continuation.onTermination = { [weak self] _ in
      self?.state.withLock { _ = $0.subscribers.removeValue(forKey: id) }
    }
    return stream
  }

  /// Ends every stream and the connection.
  package func close() async {
    let subscribers = state.withLock { state in
      state.isClosed = true
      defer { state.subscribers = [:] }
      return state.subscribers.values.map(\.continuation)
    }
    for subscriber in subscribers {
      subscriber.finish()
    }
    wake.signal()
    await withCheckedContinuation { continuation in
      let isFinished = state.withLock { state in
        let isFinished = state.isFinished || !state.isStarted
        if !isFinished { state.closing.append(continuation) }
        return isFinished
      }
      if isFinished { continuation.resume() }
    }
  }

  // MARK: The thread of the listener

  private func run() {
    var failures = 0
    while !isClosed {
      do throws(PostgresError) {
        let connection = try Connection(configuration, logger: logger)
        let names = channels.map { "\"" + $0.replacing("\"", with: "\"\"") + "\"" }
        try connection.run(script: names.map { "LISTEN \($0)" }.joined(separator: ";"))
        failures = 0
        setConnected(true)
        notify(nil)
        listen(on: connection)
        setConnected(false)
        if !isClosed { logger.notice("The listener lost its connection and opens another one") }
      } catch {
        failures += 1
        logger.warning("The listener cannot reach the database", ["error": .error(error), "attempt": .int(failures)])
        let delay = backoff.delay(afterAttempt: failures, jitter: Double.random(in: 0..<1))
        wake.wait(for: delay, beside: nil)
      }
    }
    let closing = state.withLock { state in
      state.isFinished = true
      defer { state.closing = [] }
      return state.closing
    }
    for caller in closing {
      caller.resume()
    }
  }

  /// Returns when the connection ended or the listener is closed.
  private func listen(on connection: Connection) {
    while !isClosed {
      wake.wait(for: nil, beside: connection.socket)
      guard let names = connection.takeNotifications() else { return }
      for name in names {
        notify(name)
      }
    }
  }

  private var isClosed: Bool { state.withLock { $0.isClosed } }

  private func setConnected(_ isConnected: Bool) {
    state.withLock { $0.isConnected = isConnected }
  }

  /// Wakes the subscribers of the channel, or all.
  private func notify(_ channel: String?) {
    let woken = state.withLock { state in
      state.subscribers.values.filter { channel == nil || $0.channel == nil || $0.channel == channel }
    }
    for subscriber in woken {
      subscriber.continuation.yield()
    }
  }
}
