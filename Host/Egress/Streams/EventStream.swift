import HTTPClient
import JSONText
import PluginManifest
import Synchronization

/// One open stream of a plugin: takes the bytes from the HTTP client, passes events on to the plugin.
///
/// Everything happens under one lock and nothing in it waits, so events keep their order whichever thread brings them.
final class EventStream: ResponseReceiver {
  /// What became of the request before any event.
  enum Opening: Sendable {
    case streaming(status: Int, headers: ResponseHeaders)
    /// The answer is none of events, or there is none: it comes as the outcome.
    case plain
  }

  enum EndReason: String, Sendable {
    case complete
    /// The plugin closed the stream.
    case closed
    /// The call that the stream belonged to is over.
    case cancelled
    case timeout
    case connectionLost
    /// A line, an event or the whole stream is longer than allowed.
    case tooLarge
  }

  private struct State {
    var opening: Opening?
    var waiter: CheckedContinuation<Opening, Never>?
    var control: TransferControl?
    var redactor: StreamRedactor
    var parser = EventStreamParser()
    var flow = EventFlow()
    var isPaused = false
    var isTimerSet = false
    var bytes = 0
    var events: Int64 = 0
    var usage: RawJSON?
    /// Set once nothing more comes from the platform.
    var end: EndReason?
    /// Chosen by this side before the transfer ended.
    var stopReason: EndReason?
    var isDone = false
  }

  let id: String
  private let rule: EgressRule
  private let send: @Sendable (RawJSON) -> Void
  private let state: Mutex<State>

  init(id: String, rule: EgressRule, redactor: Redactor, send: @escaping @Sendable (RawJSON) -> Void) {
    self.id = id
    self.rule = rule
    self.send = send
    state = Mutex(State(redactor: StreamRedactor(redactor)))
  }

  /// Waits until the header of the answer is here, or it is clear that none comes.
  func opening() async -> Opening {
    await withCheckedContinuation { waiter in
      let known: Opening? = state.withLock { state in
        if state.opening == nil { state.waiter = waiter }
        return state.opening
      }
      if let known { waiter.resume(returning: known) }
    }
  }

  /// Secrets found in the stream so far.
  var redactions: Int { state.withLock { $0.redactor.count } }

  // MARK: From the platform

  func begin(status: Int, headers: ResponseHeaders, control: TransferControl) -> Bool {
    let type = headers["content-type"]?.lowercased() ?? ""
    let isStream = (200..<300).contains(status) && type.hasPrefix("text/event-stream")
    settle(isStream ? .streaming(status: status, headers: headers) : .plain) { $0.control = control }
    return isStream
  }

  func take(_ bytes: [UInt8]) -> ResponseIntake {
    state.withLock { state in
      guard state.stopReason == nil else { return .stop }
      if state.flow.isFull {
        state.isPaused = true
        return .later
      }
      state.bytes += bytes.count
      guard state.bytes <= rule.maximumBody else {
        state.stopReason = .tooLarge
        return .stop
      }
      do {
        let clean = state.redactor.feed(bytes)
        add(try state.parser.feed(clean), to: &state)
      } catch {
        state.stopReason = .tooLarge
        return .stop
      }
      flush(&state)
      return .taken
    }
  }

  /// Notes that the transfer is over. Returns the answer for the journal.
  func finish(_ outcome: Outcome) -> RawJSON? {
    settle(.plain) { _ in }
    return state.withLock { state in
      guard case .streaming(let status, _)? = state.opening else { return nil }
      let reason = state.stopReason ?? Self.reason(outcome)
      // An end that looked like a secret's beginning was none; without its line end it completes no event.
      if case .complete = reason, let events = try? state.parser.feed(state.redactor.finish()) {
        add(events, to: &state)
      }
      state.end = reason
      flush(&state)
      return RawJSON.object { writer in
        writer.field("status", status)
        writer.object("stream") { Self.write(state, reason, to: &$0) }
      }
    }
  }

  // MARK: From the plugin

  /// Makes room for more events.
  func grant(events: Int, bytes: Int) {
    let control = state.withLock { state -> TransferControl? in
      state.flow.grant(events: events, bytes: bytes)
      flush(&state)
      guard state.isPaused, !state.flow.isFull else { return nil }
      state.isPaused = false
      return state.control
    }
    control?.resume()
  }

  /// Ends the stream from this side: what waits is dropped, the end is still told.
  func close(_ reason: EndReason) {
    let control = state.withLock { state -> TransferControl? in
      if state.stopReason == nil { state.stopReason = reason }
      guard state.end == nil else {
        // The transfer is over and only its last events wait for room.
        state.flow.drop()
        flush(&state)
        return nil
      }
      return state.control
    }
    control?.stop()
  }

  /// Whether the end has been told.
  var isDone: Bool { state.withLock { $0.isDone } }

  // MARK: Passing on

  private func settle(_ opening: Opening, _ change: (inout State) -> Void) {
    let waiter: CheckedContinuation<Opening, Never>? = state.withLock { state in
      change(&state)
      guard state.opening == nil else { return nil }
      state.opening = opening
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume(returning: opening)
  }

  private func add(_ events: [ServerSentEvent], to state: inout State) {
    state.events += Int64(events.count)
    if let pointer = rule.stream?.usage {
      for event in events where event.data.utf8.first == UInt8(ascii: "{") {
        // Data that is no JSON holds no usage.
        if let value = try? RawJSON(text: event.data).pointer(pointer), !value.isNull, value.count <= 16_384 {
          state.usage = value
        }
      }
    }
    state.flow.add(events, at: .now)
  }

  /// Sends what is due, and the end when nothing is left.
  private func flush(_ state: inout State) {
    let isStopped = state.stopReason != nil && state.end != nil
    if isStopped, state.stopReason != .tooLarge { state.flow.drop() }
    for batch in state.flow.take(at: .now, all: state.end != nil) { send(message(batch)) }
    if let reason = state.end, !state.isDone, state.flow.isEmpty {
      state.isDone = true
      let sequence = state.flow.nextSequence()
      send(
        RawJSON.object { writer in
          writer.field("stream", id)
          writer.field("seq", sequence)
          writer.object("end") { Self.write(state, reason, to: &$0) }
        }
      )
    }
    if let due = state.flow.dueAt, !state.isTimerSet {
      state.isTimerSet = true
      // A task of its own, because whoever brings bytes must not wait.
      Task { [weak self] in
        // Cancelled by nobody; if it were, the events would go out early.
        try? await Task.sleep(until: due, clock: .continuous)
        self?.timerFired()
      }
    }
  }

  private func timerFired() {
    let control = state.withLock { state -> TransferControl? in
      state.isTimerSet = false
      flush(&state)
      guard state.isPaused, !state.flow.isFull else { return nil }
      state.isPaused = false
      return state.control
    }
    control?.resume()
  }

  private func message(_ batch: EventFlow.Batch) -> RawJSON {
    RawJSON.object(capacity: 1_024) { writer in
      writer.field("stream", id)
      writer.field("seq", batch.sequence)
      writer.array("events", batch.events) { writer, event in
        writer.object { writer in
          if event.name != "message" { writer.field("event", event.name) }
          writer.field("data", event.data)
          writer.field("id", event.id)
          if batch.isPart { writer.field("more", true) }
        }
      }
    }
  }

  private static func write(_ state: State, _ reason: EndReason, to writer: inout JSONWriter) {
    writer.field("reason", reason.rawValue)
    writer.field("events", state.events)
    writer.field("bytes", state.bytes)
    writer.field("usage", state.usage)
  }

  private static func reason(_ outcome: Outcome) -> EndReason {
    switch outcome {
    case .response: .complete
    case .notSent: .connectionLost
    case .unknown(let unknown):
      switch unknown.reason {
      case .timeout: .timeout
      case .responseTooLarge: .tooLarge
      case .shuttingDown, .stopped: .cancelled
      default: .connectionLost
      }
    }
  }
}
