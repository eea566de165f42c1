internal import Logging
internal import Synchronization

/// One request and its answer.
///
/// The library's thread calls `begin`, `receive`, `proceed` and `over`; the handler's task calls `nextChunk` and gives
/// the answer. Whoever needs the other suspends or resumes the connection, always under the lock that holds the reason.
final class Exchange: BodySource {
  /// What the library's thread does after a call.
  enum Step {
    case wait
    case answer(PreparedResponse)
    case close
  }

  private struct State {
    var upload: UploadBuffer
    var window: ProgressWindow
    var isBodyComplete = false
    var bodyFailure: (any Error)?
    var reader: CheckedContinuation<[UInt8]?, any Error>?
    var isReaderCanceled = false
    /// An answer that needs no handler.
    var immediate: HTTPResponse?
    var task: Task<Void, Never>?
    var isSuspended = false
    var response: PreparedResponse?
    var stream: (any AnswerStream)?
    var status = 0
    var bytesAnswered = 0
    var isEventStream = false
    var isOver = false

    var isAnswered: Bool { response != nil || status != 0 }

    /// Takes the waiting reader out; the caller runs the result outside the lock.
    mutating func takeReader(_ result: Result<[UInt8]?, any Error>) -> (@Sendable () -> Void)? {
      guard let reader else { return nil }
      self.reader = nil
      return { reader.resume(with: result) }
    }
  }

  let head: RequestHead
  private let core: ServerCore
  private let connection: Connection
  private let handle: ConnectionHandle
  private let plan: RequestPipeline.Plan
  private let started: UInt64
  private let bytesStreamed = Atomic<Int>(0)
  private let state: Mutex<State>

  init(_ head: RequestHead, core: ServerCore, connection: Connection, handle: ConnectionHandle) {
    self.head = head
    self.core = core
    self.connection = connection
    self.handle = handle
    let now = Monotonic.now
    started = now
    plan = head.problem.map { .refuse($0) } ?? core.plan(head)
    var limit = 0
    var mode = UploadBuffer.Mode.discarding
    if case .route(let route, _, _) = plan {
      limit = route.body.limit
      if case .streamed = route.body, head.hasBody { mode = .streaming } else { mode = .collecting }
    }
    let settings = core.settings
    state = Mutex(
      State(
        upload: UploadBuffer(mode: mode, limit: limit, discardLimit: settings.maximumDiscardedBytes),
        window: ProgressWindow(length: settings.progressWindow, minimum: settings.minimumProgress, now: now)
      )
    )
  }

  // MARK: Calls of the library's thread

  /// The header fields are complete.
  func begin() -> Step {
    connection.enter(.body, deadline: Monotonic.now + core.settings.progressWindow)
    let refusal: HTTPResponse? =
      switch plan {
      case .refuse(let problem): core.pipeline.refusal(problem, requestID: head.id)
      case .options(let allowed): core.pipeline.options(allowed, requestID: head.id)
      case .route(let route, _, _):
        if let declared = head.declaredLength, declared > Int64(route.body.limit) {
          core.pipeline.refusal(.bodyTooLarge(route.body.limit), requestID: head.id)
        } else {
          nil
        }
      }
    let discardable = Int64(core.settings.maximumDiscardedBytes)
    return state.withLock { state in
      if let refusal {
        state.upload.discard()
        // Reading the body first lets the client get the answer, but not when it waits for leave or has too much.
        let isFramingBroken = refusal.headers["connection"] != nil
        guard head.hasBody, head.expectsContinue || isFramingBroken || head.declaredLength ?? 0 > discardable else {
          state.immediate = refusal
          return .wait
        }
        var refusal = refusal
        refusal.headers.set("connection", "close")
        return answer(refusal, &state)
      }
      if state.upload.mode == .streaming { startTask(&state) }
      return .wait
    }
  }

  /// Takes a part of the body; `isTaken` is false when the client must be held back with it.
  func receive(_ chunk: UnsafeRawBufferPointer) -> (step: Step, isTaken: Bool) {
    let now = Monotonic.now
    let (result, wake) = state.withLock { state -> ((step: Step, isTaken: Bool), Wake?) in
      if state.isSuspended { return ((.wait, false), nil) }
      let verdict = unsafe state.upload.receive(chunk)
      state.window.advance(chunk.count, now: now)
      connection.deadline.store(state.window.deadline, ordering: .relaxed)
      switch verdict {
      case .goOn, .holdBack:
        if state.reader != nil, !state.upload.bytes.isEmpty {
          return ((.wait, true), state.takeReader(.success(state.upload.take())))
        }
        if verdict == .holdBack { suspend(&state) }
        return ((.wait, true), nil)
      case .tooLarge:
        let problem = HTTPProblem.bodyTooLarge(state.upload.limit)
        state.bodyFailure = problem
        if state.task == nil { state.immediate = core.pipeline.refusal(problem, requestID: head.id) }
        return ((.wait, true), state.takeReader(.failure(problem)))
      case .cutOff: return ((.close, true), nil)
      }
    }
    wake?()
    return result
  }

  /// The body is complete, or the connection was resumed after it was.
  func proceed() -> Step {
    let (step, wake) = state.withLock { state -> (Step, Wake?) in
      var wake: Wake?
      if !state.isBodyComplete {
        state.isBodyComplete = true
        connection.enter(.handling, deadline: Monotonic.now + core.settings.requestTimeout)
        if state.reader != nil { wake = state.takeReader(.success(nil)) }
      }
      if let response = state.response { return (begin(response, &state), wake) }
      if state.isSuspended || state.status != 0 { return (.wait, wake) }
      if let immediate = state.immediate { return (answer(immediate, &state), wake) }
      if state.task == nil { startTask(&state) }
      suspend(&state)
      return (.wait, wake)
    }
    wake?()
    return step
  }

  /// The request is over, for good or bad.
  func over(_ ending: AccessRecord.Ending) {
    let ended = state.withLock { state in
      state.isOver = true
      if state.bodyFailure == nil { state.bodyFailure = ClientGone() }
      defer {
        state.response = nil
        state.stream = nil
      }
      return Ended(
        wake: state.takeReader(.failure(ClientGone())),
        // A handler that still reads the body cannot go on; one that has it all may finish its work.
        abandoned: state.isBodyComplete ? nil : state.task,
        // Both are released outside the lock, for that runs more code.
        response: state.response,
        stream: state.stream,
        record: record(ending, state),
        isEventStream: state.isEventStream
      )
    }
    ended.wake?()
    // The library frees the answer only when nobody else holds it, which may be later than its end.
    ended.stream?.end()
    ended.abandoned?.cancel()
    core.exchangeIsOver(ended.record, isEventStream: ended.isEventStream)
    connection.exchange = nil
    connection.enter(.idle, deadline: Monotonic.now + core.settings.idleTimeout)
  }

  // MARK: Calls from other threads

  /// The handler took too long.
  func timeOut() {
    let problem = HTTPProblem.unavailable("The request took too long; try again", retryAfter: 5)
    giveUp(core.pipeline.refusal(problem, requestID: head.id))
  }

  /// The server stops and waits no longer.
  func stop() {
    giveUp(core.pipeline.refusal(.unavailable("The server is stopping; try again"), requestID: head.id))
    endStream()
  }

  /// Ends a streamed answer early.
  func endStream() { state.withLock { $0.stream }?.end() }

  /// The body came too slowly; the connection is about to be cut.
  func expireBody() {
    let wake = state.withLock { state in
      state.bodyFailure = HTTPProblem.requestTimeout
      state.upload.discard()
      return state.takeReader(.failure(HTTPProblem.requestTimeout))
    }
    wake?()
  }

  var events: EventClient? { state.withLock { $0.stream as? EventClient } }

  func nextChunk() async throws -> [UInt8]? {
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let (result, mustResume) = state.withLock { state -> (Result<[UInt8]?, any Error>?, Bool) in
          // The end of a connection cancels its handler too; what ended it says more.
          if let failure = state.bodyFailure { return (.failure(failure), false) }
          if state.isReaderCanceled { return (.failure(CancellationError()), false) }
          if !state.upload.bytes.isEmpty {
            let mustResume = state.isSuspended && !state.isBodyComplete
            if mustResume { release(&state) }
            return (.success(state.upload.take()), mustResume)
          }
          if state.isBodyComplete { return (.success(nil), false) }
          guard state.reader == nil else { return (.failure(SecondReader()), false) }
          state.reader = continuation
          return (nil, false)
        }
        if mustResume { handle.resume() }
        if let result { continuation.resume(with: result) }
      }
    } onCancel: {
      let wake = state.withLock { state in
        state.isReaderCanceled = true
        return state.takeReader(.failure(CancellationError()))
      }
      wake?()
    }
  }

  // MARK: Answering

  private struct Ended {
    let wake: Wake?
    let abandoned: Task<Void, Never>?
    let response: PreparedResponse?
    let stream: (any AnswerStream)?
    let record: AccessRecord
    let isEventStream: Bool
  }

  private typealias Wake = @Sendable () -> Void

  private struct SecondReader: Error, CustomStringConvertible {
    var description: String { "A request body was read by two tasks at once" }
  }

  private func startTask(_ state: inout State) {
    guard case .route(let route, let parameters, let target) = plan else { return }
    let body: RequestBody.Storage =
      state.upload.mode == .streaming ? .streamed(self) : .collected(state.upload.take())
    let request = HTTPRequest(
      id: head.id,
      method: head.method,
      target: target,
      headers: head.headers,
      body: RequestBody(body, declaredLength: head.declaredLength),
      remoteAddress: head.remoteAddress,
      parameters: parameters,
      route: route.template
    )
    state.task = Task { await self.handle(route.handler, request) }
  }

  private func handle(_ handler: HTTPHandler, _ request: HTTPRequest) async {
    let logger = core.logger.with(["request": request.id])
    await Logger.$current.withValue(logger) {
      let response = await core.pipeline.run(handler, request)
      let (prepared, pipe) = await preparer.prepare(response)
      guard give(prepared), let pipe, case .stream(let produce) = response.body else { return }
      do {
        try await produce(pipe)
        pipe.finish(isFailed: false)
      } catch {
        if !(error is ClientGone) {
          logger.error("A streamed answer failed", ["error": .error(error)])
        }
        pipe.finish(isFailed: true)
      }
    }
  }

  private var preparer: ResponsePreparer {
    ResponsePreparer(core: core, connection: connection, handle: handle, head: head) { count in
      self.bytesStreamed.wrappingAdd(count, ordering: .relaxed)
    }
  }

  private func bytes(_ response: HTTPResponse) -> PreparedResponse? { preparer.bytes(response) }

  /// Hands the answer to the library's thread; false when there is one already or the request is over.
  private func give(_ prepared: PreparedResponse?) -> Bool {
    guard let prepared else {
      // Only a lack of memory brings us here.
      connection.cut()
      giveUp(HTTPResponse(status: 500))
      return false
    }
    let (isTaken, mustResume) = state.withLock { state -> (Bool, Bool) in
      guard !state.isOver, !state.isAnswered else { return (false, false) }
      state.response = prepared
      state.stream = prepared.stream
      state.upload.discard()
      let mustResume = state.isSuspended
      if mustResume { release(&state) }
      return (true, mustResume)
    }
    if mustResume { handle.resume() }
    return isTaken
  }

  private func giveUp(_ response: HTTPResponse) {
    let prepared = bytes(response)
    let (task, mustResume) = state.withLock { state -> (Task<Void, Never>?, Bool) in
      guard !state.isOver, !state.isAnswered else { return (state.task, false) }
      state.response = prepared
      state.immediate = response
      state.upload.discard()
      let mustResume = state.isSuspended
      if mustResume { release(&state) }
      return (state.task, mustResume)
    }
    if mustResume { handle.resume() }
    task?.cancel()
  }

  private func answer(_ response: HTTPResponse, _ state: inout State) -> Step {
    guard let prepared = bytes(response) else { return .close }
    return begin(prepared, &state)
  }

  private func begin(_ response: PreparedResponse, _ state: inout State) -> Step {
    state.response = nil
    state.status = response.status
    state.bytesAnswered = response.length ?? 0
    state.isEventStream = response.stream is EventClient
    if state.isEventStream { core.eventStreamBegins() }
    let slowest = UInt64(response.length ?? 0) / 16_384 * 1_000_000_000
    connection.enter(.answering, deadline: Monotonic.now + core.settings.progressWindow + slowest)
    return .answer(response)
  }

  private func suspend(_ state: inout State) {
    state.isSuspended = true
    if !state.isBodyComplete { connection.deadline.store(0, ordering: .relaxed) }
    handle.suspend()
  }

  /// Notes that the connection will be resumed; the caller does it outside the lock.
  private func release(_ state: inout State) {
    state.isSuspended = false
    guard !state.isBodyComplete else { return }
    state.window.restart(now: Monotonic.now)
    connection.deadline.store(state.window.deadline, ordering: .relaxed)
  }

  private func record(_ ending: AccessRecord.Ending, _ state: State) -> AccessRecord {
    let route: String
    if case .route(let found, _, _) = plan { route = found.template } else { route = "" }
    return AccessRecord(
      requestID: head.id,
      method: head.method,
      path: head.path,
      route: route,
      status: state.status,
      bytesReceived: state.upload.received,
      bytesSent: head.method == .head ? 0 : state.bytesAnswered + bytesStreamed.load(ordering: .relaxed),
      duration: .nanoseconds(Int64(Monotonic.now - started)),
      remoteAddress: head.remoteAddress,
      ending: ending
    )
  }
}
