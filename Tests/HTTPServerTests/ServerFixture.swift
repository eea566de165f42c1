import HTTPServer
import Logging
import Synchronization

/// Something one task waits for and another one announces.
final class Announcement<Value: Sendable>: Sendable {
  private struct State {
    var value: Value?
    var waiters: [CheckedContinuation<Value, Never>] = []
  }

  private let state = Mutex(State())

  func announce(_ value: Value) {
    let waiters = state.withLock { state in
      if state.value == nil { state.value = value }
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.resume(returning: value) }
  }

  var value: Value {
    get async {
      await withCheckedContinuation { continuation in
        let value = state.withLock { state -> Value? in
          if state.value == nil { state.waiters.append(continuation) }
          return state.value
        }
        if let value { continuation.resume(returning: value) }
      }
    }
  }
}

extension Announcement where Value == Void {
  func announce() { announce(()) }
}

/// Collects what happens and lets tests wait for a number of it.
final class Tally<Record: Sendable>: Sendable {
  private struct State {
    var records: [Record] = []
    var waiters: [(count: Int, continuation: CheckedContinuation<[Record], Never>)] = []
  }

  private let state = Mutex(State())

  func add(_ record: Record) {
    let (records, ready) = state.withLock { state in
      state.records.append(record)
      let count = state.records.count
      let ready = state.waiters.filter { $0.count <= count }.map(\.continuation)
      state.waiters.removeAll { $0.count <= count }
      return (state.records, ready)
    }
    for continuation in ready { continuation.resume(returning: records) }
  }

  func records(_ count: Int) async -> [Record] {
    await withCheckedContinuation { continuation in
      let records = state.withLock { state -> [Record]? in
        if state.records.count >= count { return state.records }
        state.waiters.append((count, continuation))
        return nil
      }
      if let records { continuation.resume(returning: records) }
    }
  }
}

/// A running server on a port of its own.
struct ServerFixture: Sendable {
  let port: UInt16
  let log: Tally<AccessRecord>
  let stop: Announcement<Void>
  let stopped: Announcement<Void>

  struct NotStarted: Error {}

  /// Runs a server while `body` runs, then stops it.
  static func run<Result: Sendable>(
    _ configure: (inout HTTPServerConfiguration) -> Void = { _ in },
    sink: MemorySink = MemorySink(),
    routes: (inout Router) -> Void,
    _ body: @escaping @Sendable (ServerFixture) async throws -> Result
  ) async throws -> Result {
    var configuration = HTTPServerConfiguration()
    configuration.sweepInterval = .milliseconds(20)
    configuration.stopDeadline = .seconds(5)
    let log = Tally<AccessRecord>()
    configuration.accessLog = { log.add($0) }
    configure(&configuration)
    var router = Router()
    routes(&router)
    let server = HTTPServer(configuration, router: router, logger: Logger(sink: sink))
    let port = Announcement<UInt16?>()
    let stop = Announcement<Void>()
    let stopped = Announcement<Void>()
    let running = Task {
      // A server that can not start must fail the test, not hang it.
      defer { port.announce(nil) }
      try await server.run(started: { port.announce($0) }, until: { await stop.value })
    }
    guard let number = await port.value else {
      try await running.value
      throw NotStarted()
    }
    let fixture = ServerFixture(port: number, log: log, stop: stop, stopped: stopped)
    let result: Swift.Result<Result, any Error>
    do {
      result = .success(try await body(fixture))
    } catch {
      result = .failure(error)
    }
    stop.announce()
    try await running.value
    return try result.get()
  }
}
