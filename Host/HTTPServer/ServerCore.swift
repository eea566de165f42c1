internal import Glibc
internal import Logging
internal import Synchronization

/// What the library's callbacks and the server's tasks share.
final class ServerCore: Sendable {
  /// The configuration in the units of the hot path.
  struct Settings: Sendable {
    let maximumDiscardedBytes: Int
    let minimumProgress: Int
    let headerTimeout: UInt64
    let idleTimeout: UInt64
    let progressWindow: UInt64
    let requestTimeout: UInt64
    let commentInterval: UInt64
    let eventSilence: UInt64
  }

  private enum Stage: UInt8, AtomicRepresentable {
    case running, stopping, stopped
  }

  let configuration: HTTPServerConfiguration
  let settings: Settings
  let pipeline: RequestPipeline
  let logger: Logger
  private let stage = Atomic<Stage>(.running)
  private let requests = Atomic<Int>(0)
  private let eventStreams = Atomic<Int>(0)
  private let connections = Mutex<[Int32: Connection]>([:])
  private let drainWaiter = Mutex<AsyncStream<Void>.Continuation?>(nil)

  init(_ configuration: HTTPServerConfiguration, router: Router, logger: Logger) {
    self.configuration = configuration
    self.logger = logger
    pipeline = RequestPipeline(router: router, logger: logger, defaultHeaders: configuration.defaultHeaders)
    let comment = Self.nanoseconds(configuration.eventCommentInterval)
    settings = Settings(
      maximumDiscardedBytes: configuration.maximumDiscardedBytes,
      minimumProgress: configuration.minimumProgress,
      headerTimeout: Self.nanoseconds(configuration.headerTimeout),
      idleTimeout: Self.nanoseconds(configuration.idleTimeout),
      progressWindow: Self.nanoseconds(configuration.progressWindow),
      requestTimeout: Self.nanoseconds(configuration.requestTimeout),
      commentInterval: comment,
      // Two comments may be late before a client counts as stuck.
      eventSilence: comment * 3 + Self.nanoseconds(configuration.progressWindow)
    )
  }

  private static func nanoseconds(_ duration: Duration) -> UInt64 {
    let (seconds, attoseconds) = duration.components
    return UInt64(clamping: seconds) * 1_000_000_000 + UInt64(clamping: attoseconds / 1_000_000_000)
  }

  var isStopping: Bool { stage.load(ordering: .acquiring) != .running }

  // MARK: Connections and requests, on the library's thread

  func connectionOpens(_ descriptor: Int32) -> Connection {
    let connection = Connection(descriptor: descriptor, deadline: Monotonic.now + settings.headerTimeout)
    ListenSocket.enable(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
    // A peer that vanished without a word is given up by the kernel when it confirms nothing for this long.
    ListenSocket.enable(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, 45_000)
    connections.withLock { $0[descriptor] = connection }
    return connection
  }

  /// The descriptor is closed after this; the lock keeps the sweep from using it later.
  func connectionCloses(_ connection: Connection) {
    connections.withLock { connections in
      if connections[connection.descriptor] === connection { connections[connection.descriptor] = nil }
    }
  }

  func requestLineCame(_ connection: Connection, target: String) {
    connection.target = target
    connection.enter(.head, deadline: Monotonic.now + settings.headerTimeout)
  }

  /// Nil when the server has stopped.
  func makeExchange(_ connection: Connection, _ handle: ConnectionHandle, method: String, version: String) -> Exchange?
  {
    let (headers, bytes) = handle.headers()
    let head = RequestHead(
      id: Self.makeID(),
      method: method,
      version: version,
      target: connection.target,
      headers: headers,
      headerBytes: bytes,
      maximumHeaderBytes: configuration.maximumHeaderBytes,
      remoteAddress: RequestHead.clientAddress(
        peer: connection.address,
        headers: headers,
        trustedProxies: configuration.trustedProxies
      )
    )
    let exchange = Exchange(head, core: self, connection: connection, handle: handle)
    requests.wrappingAdd(1, ordering: .relaxed)
    connection.exchange = exchange
    // The stop either sees the exchange or is seen here.
    guard stage.load(ordering: .sequentiallyConsistent) != .stopped else {
      connection.exchange = nil
      requests.wrappingSubtract(1, ordering: .relaxed)
      return nil
    }
    return exchange
  }

  func plan(_ head: RequestHead) -> RequestPipeline.Plan {
    if requests.load(ordering: .relaxed) >= configuration.maximumRequests {
      return .refuse(.unavailable("The server has too much to do; try again"))
    }
    return pipeline.plan(head.method, head.target)
  }

  func mayBeginEventStream() -> Bool {
    !isStopping && eventStreams.load(ordering: .relaxed) < configuration.maximumEventStreams
  }

  func eventStreamBegins() {
    eventStreams.wrappingAdd(1, ordering: .relaxed)
    requestEnds()
  }

  func exchangeIsOver(_ record: AccessRecord, isEventStream: Bool) {
    if isEventStream {
      eventStreams.wrappingSubtract(1, ordering: .relaxed)
      if isStopping { drainProgresses() }
    } else {
      requestEnds()
    }
    configuration.accessLog?(record)
  }

  private func requestEnds() {
    requests.wrappingSubtract(1, ordering: .releasing)
    if isStopping { drainProgresses() }
  }

  private static func makeID() -> String {
    let number = UInt64.random(in: .min ... .max)
    let hex = String(number, radix: 16)
    return String(repeating: "0", count: 16 - hex.count) + hex
  }

  // MARK: Deadlines

  /// Cuts off what is past its deadline, and makes event streams show that they live.
  func sweep() {
    let now = Monotonic.now
    var slow: [Exchange] = []
    var ended: [Exchange] = []
    connections.withLock { connections in
      for connection in connections.values {
        let deadline = connection.deadline.load(ordering: .relaxed)
        guard deadline != 0, deadline < now else { continue }
        // Progress that came just now has set a new one.
        guard connection.deadline.compareExchange(expected: deadline, desired: 0, ordering: .relaxed).exchanged else {
          continue
        }
        switch connection.phase.load(ordering: .relaxed) {
        case .idle: connection.cut()
        case .head where connection.target.isEmpty: connection.cut()
        case .head: connection.cut(after: Self.timeoutAnswer)
        case .body:
          connection.exchange?.expireBody()
          connection.cut(after: Self.timeoutAnswer)
        case .handling: if let exchange = connection.exchange { slow.append(exchange) }
        case .answering:
          connection.cut()
          if let exchange = connection.exchange { ended.append(exchange) }
        }
      }
    }
    for exchange in slow { exchange.timeOut() }
    for exchange in ended { exchange.endStream() }
    if eventStreams.load(ordering: .relaxed) > 0 { sweepEventStreams(now) }
  }

  private func sweepEventStreams(_ now: UInt64) {
    var channels: [ObjectIdentifier: EventChannel] = [:]
    var departed: [EventClient] = []
    connections.withLock { connections in
      var polls: [pollfd] = []
      var clients: [EventClient] = []
      for connection in connections.values {
        guard let client = connection.exchange?.events else { continue }
        channels[ObjectIdentifier(client.channel)] = client.channel
        // The library does not watch a suspended connection, so its departure is looked for here.
        polls.append(pollfd(fd: connection.descriptor, events: Int16(Self.hangUp), revents: 0))
        clients.append(client)
      }
      guard unsafe poll(&polls, nfds_t(polls.count), 0) > 0 else { return }
      for (index, entry) in polls.enumerated() where entry.revents != 0 { departed.append(clients[index]) }
    }
    for client in departed { client.end() }
    guard now > settings.commentInterval else { return }
    for channel in channels.values { channel.wakeIdle(silentSince: now - settings.commentInterval) }
  }

  // POLLRDHUP, which Swift does not see because it depends on a feature macro.
  private static let hangUp: Int32 = 0x2000

  private static let timeoutAnswer: [UInt8] = {
    guard case .bytes(let body) = HTTPProblem.requestTimeout.response().body else { return [] }
    let head =
      "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: application/json; charset=utf-8\r\n"
      + "Content-Length: \(body.count)\r\n\r\n"
    return Array(head.utf8) + body
  }()

  // MARK: Stopping

  /// Lets requests in flight finish; new ones on open connections are still answered, but their connections end.
  func beginStop() {
    stage.store(.stopping, ordering: .sequentiallyConsistent)
    let open = connections.withLock { connections in
      for connection in connections.values where connection.phase.load(ordering: .relaxed) == .idle {
        connection.cut()
      }
      return connections.values.compactMap(\.exchange)
    }
    for exchange in open where exchange.events != nil { exchange.endStream() }
  }

  /// Gives up what is still in flight; after this no connection is suspended, nor will be.
  func giveUp() {
    stage.store(.stopped, ordering: .sequentiallyConsistent)
    for exchange in connections.withLock({ $0.values.compactMap(\.exchange) }) { exchange.stop() }
  }

  /// Waits until no request is in flight, but no longer than `limit`.
  func waitUntilDrained(_ limit: Duration) async {
    let (progress, waiter) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    drainWaiter.withLock { $0 = waiter }
    // What ended before this is seen in the first round.
    waiter.yield()
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        for await _ in progress where self.isDrained { return }
      }
      group.addTask {
        // The only error is that the other task was first.
        try? await Task.sleep(for: limit)
      }
      await group.next()
      group.cancelAll()
    }
  }

  private func drainProgresses() { drainWaiter.withLock { $0 }?.yield() }

  private var isDrained: Bool {
    requests.load(ordering: .acquiring) <= 0 && eventStreams.load(ordering: .acquiring) <= 0
  }
}
