import FoundationEssentials
import Glibc
import JSONText
import Logging
import PluginManifest
import Synchronization
import Testing

@testable import PluginHost

/// Versions that come and go while calls run.
@Suite(.timeLimit(.minutes(3))) struct UpgradeTests {
  /// Answers each call with its version, after it asked the host once.
  private static func worker(_ version: String) -> String {
    #"""
    n=0
    while next; do
      case $line in
        *'"method":"post/publish"'*)
          n=$((n+1)); eval "c$n=$id"
          say '{"jsonrpc":"2.0","id":'$n',"method":"host/http","params":{"call":"'"$call"'"}}';;
        *'"method"'*) result "$id" '{}';;
        *) eval "call=\$c$id"; result "$call" '{"version":"\#(version)"}';;
      esac
    done
    """#
  }

  private func version(_ message: PluginMessage) throws -> String {
    guard case .result(let result) = message else {
      Issue.record("\(message)")
      throw Unexpected()
    }
    return try result.object().string("version")
  }

  private func worker(_ version: String, in zoo: Zoo) async throws -> InstalledPlugin {
    try await zoo.plugin(Self.worker(version), id: "test", version: version)
  }

  @Test func newCallsGoToTheNewVersionAndOpenOnesEndOnTheOld() async throws {
    try await Zoo.open { zoo in
      let (old, new) = (try await worker("1.0.0", in: zoo), try await worker("2.0.0", in: zoo))
      await zoo.host.apply([old])
      let open = try await zoo.host.begin("post/publish", plugin: "test", params: .emptyObject, deadline: .seconds(60))
      guard case .request(let request) = await open.next() else { throw Unexpected() }
      let changes = await zoo.host.apply([new])
      #expect(changes == [.init(id: "test", version: "2.0.0", digest: new.digest, problem: nil)])
      #expect(try version(await zoo.call("test")) == "2.0.0")
      #expect(zoo.status("test")?.versions.map(\.version) == ["2.0.0", "1.0.0"])
      #expect(zoo.status("test")?.versions.map(\.isRetired) == [false, true])
      #expect(zoo.status("test")?.watchedUntil != nil)
      // What began on the old version goes on there.
      #expect(try version(await zoo.call("test", pinnedVersion: "1.0.0")) == "1.0.0")
      open.answer(request, result: .emptyObject)
      #expect(try version(await open.next()) == "1.0.0")
      _ = await zoo.event("test") { if case .drained(old.subject) = $0 { true } else { nil } }
      // And is started again for it.
      #expect(try version(await zoo.call("test", pinnedVersion: "1.0.0")) == "1.0.0")
      #expect(zoo.happened("test").contains(.upgraded(from: old.subject, to: new.subject)))
      #expect(await zoo.call("test", pinnedVersion: "3.0.0") == .failed(.versionGone("3.0.0")))
    }
  }

  @Test func aVersionThatDoesNotStartIsNotUsed() async throws {
    try await Zoo.open { zoo in
      let old = try await worker("1.0.0", in: zoo)
      let liar = try await zoo.plugin("next", id: "test", version: "2.0.0", claims: "2.0.1")
      await zoo.host.apply([old])
      let changes = await zoo.host.apply([liar])
      #expect(changes.first?.version == "1.0.0")
      #expect(changes.first?.problem?.contains("2.0.1") == true)
      #expect(try version(await zoo.call("test")) == "1.0.0")
      #expect(zoo.host.manifest(for: "test", version: "2.0.0") == nil)
      // The same list again changes nothing and tests nothing.
      #expect(await zoo.host.apply([liar]).first?.problem != nil)
    }
  }

  @Test func aVersionThatDoesNotAnswerItsHealthCheckIsNotUsed() async throws {
    try await Zoo.open { zoo in
      await zoo.host.apply([try await worker("1.0.0", in: zoo)])
      let sick = #"next; say '{"jsonrpc":"2.0","id":'"$id"',"error":{"code":-32603,"message":"ill"}}'; next; next"#
      let changes = await zoo.host.apply([try await zoo.plugin(sick, id: "test", version: "2.0.0")])
      #expect(changes.first?.problem?.contains("ill") == true)
      #expect(try version(await zoo.call("test")) == "1.0.0")
    }
  }

  @Test(arguments: [
    ("exit 9", "exit code 9", 2), (#"say '{"jsonrpc":'; next"#, "broke the protocol", 1),
  ])
  func aVersionThatFailsInItsFirstMinutesIsTakenBack(end: String, reason: String, calls: Int) async throws {
    // Healthy at its test, broken at its first call.
    let script = #"while :; do next; case $line in *post/publish*) \#(end);; *) result "$id" '{}';; esac; done"#
    try await Zoo.open { zoo in
      let old = try await worker("1.0.0", in: zoo)
      let new = try await zoo.plugin(script, id: "test", version: "2.0.0")
      await zoo.host.apply([old])
      #expect(await zoo.host.apply([new]).first?.version == "2.0.0")
      for number in 0..<calls {
        guard case .failed(let failure) = await zoo.call("test", job: "\(number)") else { throw Unexpected() }
        #expect(failure.isCrash)
      }
      let why = await zoo.event("test") {
        if case .rolledBack(new.subject, old.subject, let why) = $0 { why } else { nil }
      }
      #expect(why.contains(reason))
      #expect(try version(await zoo.call("test")) == "1.0.0")
      #expect(zoo.host.manifest(for: "test")?.version.description == "1.0.0")
      #expect(await zoo.call("test", pinnedVersion: "2.0.0") == .failed(.versionGone("2.0.0")))
      let state = zoo.status("test")?.versions.first { $0.version == "2.0.0" }
      #expect(state?.quarantine?.reason.kind == "rolledBack")
      // The list that named it names it still; nothing happens.
      #expect(await zoo.host.apply([new]).first?.version == "1.0.0")
    }
  }

  @Test func aPluginThatIsTakenAwayEndsWhatItHas() async throws {
    try await Zoo.open { zoo in
      await zoo.host.apply([try await worker("1.0.0", in: zoo)])
      let open = try await zoo.host.begin("post/publish", plugin: "test", params: .emptyObject, deadline: .seconds(60))
      guard case .request(let request) = await open.next() else { throw Unexpected() }
      let pid = try #require(zoo.status("test")?.pid)
      await zoo.host.apply([])
      #expect(await zoo.call("test") == .failed(.notInstalled("test")))
      #expect(zoo.host.manifests.isEmpty && zoo.host.status().isEmpty)
      open.answer(request, result: .emptyObject)
      #expect(try version(await open.next()) == "1.0.0")
      while kill(pid, 0) == 0 { await Task.yield() }
    }
  }

  @Test func frameWatchersSeeWhatPasses() async throws {
    try await Zoo.open { zoo in
      await zoo.host.apply([try await worker("1.0.0", in: zoo)])
      let frames = try #require(zoo.host.tap("test"))
      #expect(zoo.host.tap("other") == nil)
      _ = await zoo.call("test")
      var seen: [String] = []
      for await frame in frames {
        seen.append("\(frame.direction.rawValue) \(frame.method ?? "answer")")
        if seen.count == 7 { break }
      }
      #expect(
        seen == [
          "toPlugin initialize", "fromPlugin answer", "toPlugin initialized", "toPlugin post/publish",
          "fromPlugin host/http", "toPlugin answer", "fromPlugin answer",
        ]
      )
    }
  }

  /// Calls keep coming while versions change ten times up and ten times down.
  @Test func aThousandCallsDoNotNoticeTwentyChangesOfTheVersion() async throws {
    try await Zoo.open { zoo in
      let versions = [try await worker("1.0.0", in: zoo), try await worker("2.0.0", in: zoo)]
      await zoo.host.apply([versions[0]])
      let crowd = Crowd(1_000)
      await withDiscardingTaskGroup { group in
        for _ in 0..<8 { group.addTask { await crowd.work(zoo) } }
        for change in 1...20 {
          let changes = await zoo.host.apply([versions[change % 2]])
          #expect(changes.first?.problem == nil)
          // As many calls between two changes as there would be on a busy host.
          while crowd.left > 1_000 - change * 48 { await Task.yield() }
        }
      }
      #expect(crowd.failures == [])
      #expect(crowd.answers.values.reduce(0, +) == 1_000)
      #expect(crowd.answers.count == 2)
    }
  }
}

/// Makes a number of calls and counts the answers by version.
private final class Crowd: Sendable {
  private struct State {
    var left: Int
    var answers: [String: Int] = [:]
    var failures: [PluginMessage] = []
  }

  private let state: Mutex<State>

  init(_ count: Int) {
    state = Mutex(State(left: count))
  }

  var left: Int { state.withLock(\.left) }
  var answers: [String: Int] { state.withLock(\.answers) }
  var failures: [PluginMessage] { state.withLock(\.failures) }

  func work(_ zoo: Zoo) async {
    while take() {
      let message = await zoo.call("test")
      state.withLock { state in
        // A result that cannot be read counts as a failure.
        if case .result(let result) = message, let version = try? result.object().string("version") {
          state.answers[version, default: 0] += 1
        } else {
          state.failures.append(message)
        }
      }
    }
  }

  private func take() -> Bool {
    state.withLock { state in
      guard state.left > 0 else { return false }
      state.left -= 1
      return true
    }
  }
}
