import Synchronization

/// Two connections in one process, joined by the same bytes that a pipe would carry; for tests.
public final class LocalConnection: Sendable {
  /// Carries frames to the other side, at once and on the caller's thread.
  private final class Sink: FrameSink {
    private struct State {
      var reader: FrameReader
      var target: Connection?
    }

    private let state: Mutex<State>
    private let tap: @Sendable ([UInt8]) -> Void

    init(maximumFrameBytes: Int, tap: @escaping @Sendable ([UInt8]) -> Void) {
      state = Mutex(State(reader: FrameReader(maximumFrameBytes: maximumFrameBytes)))
      self.tap = tap
    }

    func connect(_ target: Connection?) {
      state.withLock { $0.target = target }
    }

    func send(_ frame: [UInt8]) throws(FrameSinkError) {
      let (events, target) = state.withLock { state in
        var events: [FrameReader.Event] = []
        state.reader.consume(frame) { events.append($0) }
        return (events, state.target)
      }
      guard let target else { throw .closed }
      tap(frame)
      for event in events { target.receive(event) }
    }
  }

  /// The host's side.
  public let host: Connection
  /// The plugin's side.
  public let plugin: Connection
  private let toPlugin: Sink
  private let toHost: Sink

  /// Joins two sides; `tap` sees every frame, with whether it goes to the plugin.
  public init(
    host hostHandlers: Connection.Handlers,
    plugin pluginHandlers: Connection.Handlers,
    inFlightLimit: Int = 256,
    maximumFrameBytes: Int = FrameReader.defaultMaximumFrameBytes,
    tap: @escaping @Sendable (_ frame: [UInt8], _ toPlugin: Bool) -> Void = { _, _ in }
  ) {
    toPlugin = Sink(maximumFrameBytes: maximumFrameBytes) { tap($0, true) }
    toHost = Sink(maximumFrameBytes: maximumFrameBytes) { tap($0, false) }
    host = Connection(sink: toPlugin, inFlightLimit: inFlightLimit, handlers: hostHandlers)
    plugin = Connection(sink: toHost, inFlightLimit: inFlightLimit, handlers: pluginHandlers)
    toPlugin.connect(plugin)
    toHost.connect(host)
  }

  /// Cuts both directions, as a dead process would.
  public func close() {
    toPlugin.connect(nil)
    toHost.connect(nil)
    host.close()
    plugin.close()
  }
}
