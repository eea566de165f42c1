import Glibc
import Processes
import TestSupport
import Testing

@testable import Jail

/// Limits that really kill.
@Suite(.timeLimit(.minutes(2)), .enabled(if: !SanitizedBuild.isOn)) struct ResourceWatchTests {
  private let fixture: JailFixture

  init() throws {
    fixture = try JailFixture()
  }

  private func kill(_ program: JailedProgram, best: JailTier) async throws -> ResourceKill? {
    let jail = await fixture.jail(best: best)
    let child = try await fixture.spawner.spawn(try jail.request(for: program))
    let reasons = AsyncStream<ResourceKill>.makeStream()
    let watched = jail.watch(child, limits: program.limits) { reason in
      reasons.continuation.yield(reason)
      child.killEverything()
    }
    child.onExit { _ in reasons.continuation.finish() }
    var first: ResourceKill?
    for await reason in reasons.stream { first = first ?? reason }
    watched.stop()
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

  @Test func aHogThatWaitedIsSeenBeforeItGoesFar() async throws {
    // It grows by some 400 MiB a second until it is killed, and begins when nobody looks often any more.
    let program = try fixture.script(
      """
      import time
      time.sleep(3.2)
      hog = []
      while True:
        hog.append(bytearray(b'x' * (4 << 20)))
        time.sleep(0.01)
      """,
      limits: JailLimits(memoryMiB: 64)
    )
    guard case .memory(let used, 64) = try await kill(program, best: .a) else {
      Issue.record("it was not killed for its memory")
      return
    }
    #expect(used > 64)
  }

  @Test func readsTheKernelsTexts() {
    let pages = Array("1000 25 5 1 0 10 0\n".utf8)
    #expect(ProcessFigures.residentBytes(statm: pages[...], pageSize: 4_096) == 102_400)
    for text in ["", "1", "x y", "1 y", "1  2", "1 -2", "1 9223372036854775807", "1 99999999999999999999"] {
      #expect(ProcessFigures.residentBytes(statm: Array(text.utf8)[...], pageSize: 4_096) == nil)
    }
    let stat = "12 (a (b) c) S 1 12 12 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 7 0 100 1000 25 18446744073709551615"
    let usage = ProcessFigures.usage(stat: Array(stat.utf8)[...], ticksPerSecond: 100)
    #expect(usage?.cpu == .seconds(2))
    #expect(usage?.threads == 7)
    let huge = "12 (a) S 1 12 12 0 -1 1 1 0 0 0 9223372036854775807 50 0 0 20 0 7 0 1"
    for text in ["", "12 (x", "12 (x)", "12 (x) S 1 2 3", huge] {
      #expect(ProcessFigures.usage(stat: Array(text.utf8)[...], ticksPerSecond: 100) == nil)
    }
  }
}
