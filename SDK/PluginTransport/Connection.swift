public import JSONText
public import PluginProtocol
import Synchronization

/// One side of a conversation: makes calls, answers calls, keeps the two apart by id.
///
/// The same type serves both sides. It owns no descriptor: bytes go to a sink, events come from whoever reads. Every
/// request runs in a task of its own; a call that waits ends with an error when the connection closes.
public final class Connection: Sendable {
  /// What a side does with what it receives.
  public struct Handlers: Sendable {
    /// Answers a request on the reader's thread, nil to let `request` do it in a task. Must not block.
    public var immediate: @Sendable (_ method: String, _ params: RawJSON) -> Result<any WireValue, ProtocolError>?
    /// Answers a request.
    public var request: @Sendable (_ method: String, _ params: RawJSON) async -> Result<any WireValue, ProtocolError>
    /// Learns that the result of a request has left, for what must come after it. Must not block.
    public var replied: @Sendable (_ method: String, _ result: any WireValue) -> Void
    /// Takes a notification, on the reader's thread. Must not block.
    public var notification: @Sendable (_ method: String, _ params: RawJSON) -> Void
    /// Learns that the other side broke a rule; the stream still goes on.
    public var violation: @Sendable (ProtocolError) -> Void

    /// Makes handlers.
    public init(
      immediate: @escaping @Sendable (String, RawJSON) -> Result<any WireValue, ProtocolError>? = { _, _ in nil },
      request: @escaping @Sendable (String, RawJSON) async -> Result<any WireValue, ProtocolError>,
      replied: @escaping @Sendable (String, any WireValue) -> Void = { _, _ in },
      notification: @escaping @Sendable (String, RawJSON) -> Void = { _, _ in },
      violation: @escaping @Sendable (ProtocolError) -> Void = { _ in }
    ) {
      self.immediate = immediate
      self.request = request
      self.replied = replied
      self.notification = notification
      self.violation = violation
    }
  }

  private typealias Waiter = CheckedContinuation<Result<RawJSON, ProtocolError>, Never>

  private struct State {
    var lastID: Int64 = 0
    var waiting: [Int64: Waiter] = [:]
    var running: [Int64: Task<Void, Never>] = [:]
    /// Tasks in `running` that only have to send their answer.
    var answered = 0
    var closed: ProtocolError?
    var idle: [(limit: Int, waiter: CheckedContinuation<Void, Never>)] = []
  }

  private let sink: any FrameSink
  private let handlers: Handlers
  private let inFlightLimit: Int
  private let state = Mutex(State())

  /// Makes a connection that answers at most `inFlightLimit` requests at once and refuses more as overloaded.
  public init(sink: any FrameSink, inFlightLimit: Int = 256, handlers: Handlers) {
    self.sink = sink
    self.inFlightLimit = inFlightLimit
    self.handlers = handlers
  }

  /// Number of requests that are being answered.
  public var runningCount: Int { state.withLock { $0.running.count } }

  // MARK: Calls

  /// Makes a call and waits for its answer.
  ///
  /// Canceling the task sends `$/cancel`; the answer, which then usually is an error, is still waited for.
  public func call<Request: RequestMessage>(_ request: Request) async throws(ProtocolError) -> Request.Answer {
    let result = try await call(method: Request.method, params: request)
    do throws(JSONTextError) { return try Request.Answer(json: result) } catch {
      throw ProtocolError(.protocolViolation, "the answer to \(Request.method) cannot be read: \(error)")
    }
  }

  /// Makes a call by name and returns the raw result.
  public func call(method: String, params: some WireValue) async throws(ProtocolError) -> RawJSON {
    if Task.isCancelled { throw ProtocolError(.cancelled, "the call was canceled before \(method) was asked") }
    let id = state.withLock { state in
      state.lastID += 1
      return state.lastID
    }
    let frame = Frame.request(id: id, method: method, params: params)
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { waiter in start(id, frame, waiter) }
    } onCancel: {
      notify(CancelNotification(id: id))
    }
    return try result.get()
  }

  private func start(_ id: Int64, _ frame: [UInt8], _ waiter: Waiter) {
    let closed = state.withLock { state in
      if state.closed == nil { state.waiting[id] = waiter }
      return state.closed
    }
    if let closed { return waiter.resume(returning: .failure(closed)) }
    do throws(FrameSinkError) { try sink.send(frame) } catch {
      return finish(id, .failure(Self.error(error)))
    }
    // A cancel that came before the request went out was for an id the other side did not know yet.
    if Task.isCancelled { notify(CancelNotification(id: id)) }
  }

  private static func error(_ error: FrameSinkError) -> ProtocolError {
    switch error {
    case .closed: ProtocolError(.connectionLost, "the other side is gone")
    case .full: ProtocolError(.overloaded, "the other side does not read")
    }
  }

  private func finish(_ id: Int64, _ result: Result<RawJSON, ProtocolError>) {
    let waiter = state.withLock { $0.waiting.removeValue(forKey: id) }
    guard let waiter else {
      return handlers.violation(ProtocolError(.protocolViolation, "an answer came to a request that is not open"))
    }
    waiter.resume(returning: result)
  }

  /// Sends a notification; lost if the other side is gone or does not read.
  public func notify(_ message: some NotificationMessage) {
    let frame = Frame.notification(method: type(of: message).method, params: message)
    // A notification has nobody to tell: what it was about fails by itself when the connection closes.
    do throws(FrameSinkError) { try sink.send(frame) } catch {}
  }

  // MARK: Receiving

  /// Takes what the frame reader found. Called by one reader at a time, in order.
  public func receive(_ event: FrameReader.Event) {
    switch event {
    case .frame(let frame): receive(frame)
    case .stray:
      handlers.violation(ProtocolError(.protocolViolation, "a line does not begin with {"))
    case .malformed(let problem):
      let error = ProtocolError(.parse, "a frame is not JSON: \(problem)")
      handlers.violation(error)
      reply(Frame.failure(id: nil, error: error))
    case .overflow(let limit):
      close(ProtocolError(.frameTooLarge, "a frame is longer than \(limit) bytes"))
    }
  }

  private func receive(_ frame: RawJSON) {
    let envelope: Envelope
    do throws(EnvelopeError) { envelope = try Envelope(frame) } catch {
      return refuse(error)
    }
    switch envelope {
    case .request(let id, let method, let params): answer(id, method, params)
    case .notification(CancelNotification.method, let params): cancel(params)
    case .notification(let method, let params): handlers.notification(method, params)
    case .response(let id, let result): finish(id, .success(result))
    case .failure(let id?, let error): finish(id, .failure(error))
    case .failure(nil, let error): handlers.violation(error)
    }
  }

  private func refuse(_ problem: EnvelopeError) {
    let error = ProtocolError(.invalidRequest, problem.problem)
    switch (problem.id, problem.isResponse) {
    case (let id?, true): finish(id, .failure(ProtocolError(.protocolViolation, problem.problem)))
    case (let id, false): reply(Frame.failure(id: id, error: error))
    case (nil, true): handlers.violation(error)
    }
  }

  private func answer(_ id: Int64, _ method: String, _ params: RawJSON) {
    if let result = handlers.immediate(method, params) { return reply(id, result) }
    let refused: ProtocolError? = state.withLock { state in
      if let closed = state.closed { return closed }
      if state.running[id] != nil { return ProtocolError(.invalidRequest, "the id is in use") }
      guard state.running.count - state.answered < inFlightLimit else {
        return ProtocolError(.overloaded, "more than \(inFlightLimit) calls at once")
      }
      // Made under the lock, so that the task cannot take itself out before it was put in.
      state.running[id] = Task { [self] in
        let result = await handlers.request(method, params)
        freePlace()
        reply(id, result)
        if case .success(let value) = result { handlers.replied(method, value) }
        ended(id)
      }
      return nil
    }
    if let refused { reply(id, .failure(refused)) }
  }

  /// Frees the place before the answer leaves: whoever reads it may fill the place at once.
  private func freePlace() {
    state.withLock { $0.answered += 1 }
  }

  private func ended(_ id: Int64) {
    let waiters: [CheckedContinuation<Void, Never>] = state.withLock { state in
      state.running[id] = nil
      state.answered -= 1
      let count = state.running.count
      let waiters = state.idle.filter { $0.limit >= count }.map(\.waiter)
      state.idle.removeAll { $0.limit >= count }
      return waiters
    }
    for waiter in waiters { waiter.resume() }
  }

  private func cancel(_ params: RawJSON) {
    // A cancel for something unknown or unreadable is no error: the request may just have ended.
    guard let id = try? CancelNotification(json: params).id else { return }
    state.withLock { $0.running[id] }?.cancel()
  }

  private func reply(_ id: Int64, _ result: Result<any WireValue, ProtocolError>) {
    switch result {
    case .success(let value): reply(Frame.response(id: id, result: value))
    case .failure(let error): reply(Frame.failure(id: id, error: error))
    }
  }

  private func reply(_ frame: [UInt8]) {
    do throws(FrameSinkError) { try sink.send(frame) } catch {
      // An answer that cannot be delivered means that the conversation is over.
      close(Self.error(error))
    }
  }

  // MARK: End

  /// Waits until at most `limit` requests are being answered.
  public func waitUntilRunning(atMost limit: Int) async {
    await withCheckedContinuation { waiter in
      let reached = state.withLock { state in
        let reached = state.running.count <= limit
        if !reached { state.idle.append((limit, waiter)) }
        return reached
      }
      if reached { waiter.resume() }
    }
  }

  /// Ends the conversation: open calls fail with `reason`, running answers are canceled. Safe to call twice.
  public func close(_ reason: ProtocolError = ProtocolError(.connectionLost, "the connection was closed")) {
    let (waiting, running) = state.withLock { state in
      if state.closed == nil { state.closed = reason }
      let waiting = state.waiting
      state.waiting = [:]
      return (waiting, state.running)
    }
    for waiter in waiting.values { waiter.resume(returning: .failure(reason)) }
    for task in running.values { task.cancel() }
  }
}
