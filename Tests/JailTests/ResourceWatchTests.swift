import Glibc
import Processes
import Testing

@testable import Jail

/// Limits that really kill.
@Suite(.timeLimit(.minutes(2)), .enabled(if: !JailFixture.isSanitized)) struct ResourceWatchTests {
  private let fixture: JailFixture

  init() throws {
    fixture = try JailFixture()
  }

  private func kill(_ program: JailedProgram, best: JailTier) async throws -> ResourceKill? {
    let jail = await fixture.jail(best: best)
    let child = try await fixture.spawner.spawn(try jail.request(for: program))
    let reasons = AsyncStream<ResourceKill>.makeStream()
    let stop = jail.watch(child, limits: program.limits) { reason in
      reasons.continuation.yield(reason)
      child.killEverything()
    }
    child.onExit { _ in reasons.continuation.finish() }
    var first: ResourceKill?
    for await reason in reasons.stream { first = first ?? reason }
    stop()
    #expect(await child.exit() == .signaled(SIGKILL))
    return first
  }

  @Test(arguments: [JailTier.a, .b]) func aMemoryHogIsKilled(best: JailTier) async throws {
    let program = try fixture.script(
      "import signal; data = bytearray(200 << 20); data[::4096] = b'x' * len(data[::4096]); signal.pause()",
      limits: JailLimits(memoryMiB: 64)
    )
    guard case .memory(let used, 64) = try await kill(program, best: best) else {
      Issue.record("it was not killed for its memory")
      return
    }
    #expect(used > 64)
  }

  @Test func tooManyThreadsAreKilled() async throws {
    let program = try fixture.script(
      """
      import signal, threading
      for _ in range(20): threading.Thread(target=lambda: threading.Event().wait()).start()
      signal.pause()
      """,
      limits: JailLimits(threads: 12)
    )
    #expect(try await kill(program, best: .a) == .threads(used: 21, limit: 12))
  }

  @Test func readsTheKernelsTexts() {
    let stat = "12 (a (b) c) S 1 12 12 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 7 0 100 1000 25 18446744073709551615"
    let sample = ResourceSample(statm: "1000 25 5 1 0 10 0", stat: stat, pageSize: 4_096, ticksPerSecond: 100)
    #expect(sample == ResourceSample(residentBytes: 102_400, cpu: .seconds(2), threads: 7))
    for text in ["", "1", "x y", "1 9223372036854775807"] {
      #expect(ResourceSample(statm: text, stat: stat, pageSize: 4_096, ticksPerSecond: 100) == nil)
    }
    #expect(ResourceSample(statm: "1 2", stat: "12 (x", pageSize: 4_096, ticksPerSecond: 100) == nil)
  }
}
