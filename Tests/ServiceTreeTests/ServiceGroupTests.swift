import Glibc
import Logging
import ServiceTree
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(15))) struct ServiceGroupTests {
  private final class Journal: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    func add(_ line: String) { lines.withLock { $0.append(line) } }
  }

  private struct Failure: Error, Equatable {}

  private let logger = Logger(sink: MemorySink())

  private func service(_ name: String, _ journal: Journal) -> ClosureService {
    ClosureService(name: name, signalsStartup: true) {
      journal.add("start \(name)")
      Startup.current.finish()
      await Shutdown.current.requested()
      journal.add("stop \(name)")
    }
  }

  @Test func startsInOrderAndStopsInReverse() async throws {
    let journal = Journal()
    let last = ClosureService(name: "c") { journal.add("c ends") }
    try await ServiceGroup(services: [service("a", journal), service("b", journal), last], logger: logger).run()
    #expect(journal.all == ["start a", "start b", "c ends", "stop b", "stop a"])
  }

  @Test func throwsTheFirstErrorAfterEverythingStopped() async {
    let journal = Journal()
    let failing = ClosureService(name: "failing") { throw Failure() }
    await #expect(throws: Failure()) {
      try await ServiceGroup(services: [service("a", journal), failing], logger: logger).run()
    }
    #expect(journal.all == ["start a", "stop a"])
  }

  @Test func anOuterShutdownStopsTheGroup() async throws {
    let journal = Journal()
    let shutdown = Shutdown()
    let asking = ClosureService(name: "asking") {
      shutdown.request()
      await Shutdown.current.requested()
    }
    try await Shutdown.$current.withValue(shutdown) {
      try await ServiceGroup(services: [service("a", journal), asking], logger: logger).run()
    }
    #expect(journal.all == ["start a", "stop a"])
  }

  @Test func aServiceThatIgnoresShutdownIsCancelledAtTheDeadline() async throws {
    let stubborn = ClosureService(name: "stubborn") {
      try await Task.sleep(for: .seconds(3_600))
    }
    let group = ServiceGroup(
      services: [stubborn, ClosureService(name: "ends") {}],
      shutdownDeadline: .milliseconds(1),
      logger: logger
    )
    try await group.run()
  }

  @Test func cancellingEndsTheBodyWhenTheShutdownIsRequested() async {
    let shutdown = Shutdown()
    await #expect(throws: CancellationError.self) {
      try await shutdown.cancelling {
        shutdown.request()
        try await Task.sleep(for: .seconds(3_600))
      }
    }
  }

  @Test func sleepSaysWhetherToGoOn() async {
    let shutdown = Shutdown()
    #expect(await shutdown.sleep(for: .milliseconds(1)))
    shutdown.request()
    #expect(await shutdown.sleep(for: .seconds(3_600)) == false)
  }

  @Test func aSignalStopsTheGroup() async throws {
    let journal = Journal()
    // A signal that nothing else in the test process uses.
    let watcher = SignalWatcher(signals: [SIGURG])
    let raising = ClosureService(name: "raising") {
      kill(getpid(), SIGURG)
      await Shutdown.current.requested()
    }
    try await ServiceGroup(services: [watcher, service("a", journal), raising], logger: logger).run()
    #expect(journal.all == ["start a", "stop a"])
  }
}
