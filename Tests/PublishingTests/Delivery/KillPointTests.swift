import Glibc
import Synchronization
import TestSupport
import Testing

@testable import PluginHost
@testable import Publishing

/// The plugin is killed at every frame between it and the host, one frame a run: when a call arrives, when the plugin
/// has asked for something and before it hears the answer. Each post then exists once, and nothing was done twice.
@Suite struct KillPointTests {
  struct Example: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let script: String
    /// How often a method and path is to arrive, whatever is killed.
    let expected: [String: Int]
    /// The frames at which there is something to kill.
    let points: Int
  }

  private static let examples = [
    Example(
      testDescription: "a post with an upload",
      script: #"""
        case $method in
          post/publish)
            http upload media '{"file":1}'; case $reply in *'"status":200'*) ;; *) fail platformDown retry; continue;; esac
            http post post '{"text":"a"}'; case $reply in *'"status":200'*) ok 1;; *) fail outcomeUnknown reconcile;; esac;;
          *) get find find; answer '{"verdict":"absent"}';;
        esac
        """#,
      expected: ["POST /uploads": 1, "POST /posts": 1],
      points: 5
    ),
    Example(
      testDescription: "a thread of three with a look first",
      script: #"""
        case $method in
          post/publish)
            get me me; http upload media '{"file":1}'
            http post one '{"text":"1"}'; http post two '{"text":"2"}'; http post three '{"text":"3"}'; ok 1;;
          *) get find find; answer '{"verdict":"absent"}';;
        esac
        """#,
      expected: ["POST /uploads": 1, "POST /posts": 3],
      points: 11
    ),
  ]

  @Test(.database, arguments: examples) func nothingIsLostOrDoneTwice(example: Example) async throws {
    try await PublishingFixture.run(example.script) { fixture in
      let killer = Killer()
      fixture.plugins.observe("probe") { frame in
        killer.see(frame) { fixture.plugins.status().first?.pid }
      }
      var counts: [String: Int] = [:]
      // One more than there are, to be sure that all were hit.
      for point in 0...example.points {
        // Each run is a day of its own: the kills before do not make the plugin wait.
        fixture.plugins.release("probe")
        killer.arm(point)
        let id = try await fixture.dispatch("Kill \(point)")
        let ways = try await fixture.drive(limit: 30)
        #expect(killer.hasKilled == (point < example.points), "point \(point)")
        #expect(try await fixture.delivery(id).state == .sent, "point \(point): \(ways)")
        #expect(try await fixture.delivery(id).attempts == 1, "point \(point): \(ways)")
        for (call, count) in example.expected {
          counts[call, default: 0] += count
          #expect(fixture.platform.count(call) == counts[call], "point \(point): \(call)")
        }
      }
      #expect(fixture.plugins.status().first?.quarantine == nil)
    }
  }

  /// Kills the plugin at one frame.
  private final class Killer: Sendable {
    private let left = Mutex(-1)
    private let killed = Atomic(false)

    func arm(_ point: Int) {
      killed.store(false, ordering: .releasing)
      left.withLock { $0 = point }
    }

    var hasKilled: Bool { killed.load(ordering: .acquiring) }

    func see(_ frame: FrameRecord, _ pid: () -> Int32?) {
      let isPoint =
        switch (frame.direction, frame.method) {
        case (.toPlugin, "post/publish"), (.fromPlugin, "host/http"): true
        case (.toPlugin, nil): true
        default: false
        }
      let isDue = left.withLock { left in
        guard isPoint, left >= 0 else { return false }
        left -= 1
        return left == -1
      }
      guard isDue, let pid = pid() else { return }
      killed.store(kill(-pid, SIGKILL) == 0, ordering: .releasing)
    }
  }
}
