import Glibc
import Processes
import Testing

@Suite(.timeLimit(.minutes(15))) struct ChildProcessTests {
  private let spawner: Spawner

  init() throws {
    spawner = try Spawner()
  }

  private func shell(_ script: String) -> SpawnRequest {
    SpawnRequest(
      executable: "/bin/sh",
      arguments: ["-c", script],
      environment: ["PATH": "/usr/bin:/bin"],
      standardInput: .pipe,
      standardOutput: .pipe
    )
  }

  /// Reads one line that the child has written, which tells that it got that far.
  private func line(from child: ChildProcess) throws -> String {
    let descriptor = try #require(child.standardOutput?.rawValue)
    var text: [UInt8] = []
    var byte: UInt8 = 0
    while unsafe read(descriptor, &byte, 1) == 1, byte != UInt8(ascii: "\n") {
      text.append(byte)
    }
    return String(decoding: text, as: UTF8.self)
  }

  private func isRunning(_ pid: Int32) -> Bool {
    ProcessTable.read().entries.contains { $0.pid == pid } && kill(pid, 0) == 0
  }

  @Test func theFirstStepOfTheLadderIsTheEndOfInput() async throws {
    let child = try await spawner.spawn(shell("cat >/dev/null; exit 5"))
    #expect(await child.terminate() == .exited(5))
  }

  @Test func theSecondStepIsASignalThatTheProgramMayHandle() async throws {
    let child = try await spawner.spawn(shell("trap 'exit 6' TERM; echo ready; while :; do sleep 0.01; done"))
    #expect(try line(from: child) == "ready")
    let ladder = TeardownLadder(steps: [.init(.signal(SIGTERM), grace: .seconds(30))])
    #expect(await child.terminate(ladder: ladder) == .exited(6))
  }

  @Test func theLastStepCannotBeIgnored() async throws {
    let child = try await spawner.spawn(shell("trap '' TERM; echo ready; while :; do sleep 0.01; done"))
    #expect(try line(from: child) == "ready")
    let ladder = TeardownLadder(
      steps: [.init(.closeInput, grace: .milliseconds(1)), .init(.signal(SIGTERM), grace: .milliseconds(1))]
    )
    #expect(await child.terminate(ladder: ladder) == .signaled(SIGKILL))
  }

  @Test func theGroupEndsWithItsLeader() async throws {
    let child = try await spawner.spawn(shell("sleep 3600 & echo $!; exit 0"))
    let grandchild = try #require(Int32(try line(from: child)))
    #expect(await child.exit() == .exited(0))
    // The pipe's other end closes when the last process that holds it is gone.
    #expect(try line(from: child).isEmpty)
    _ = grandchild
  }

  @Test func killsDescendantsThatLeftTheSession() async throws {
    let child = try await spawner.spawn(shell("setsid sleep 3600 & echo ready; wait"))
    #expect(try line(from: child) == "ready")
    child.killEverything()
    #expect(await child.exit() == .signaled(SIGKILL))
    #expect(try line(from: child).isEmpty)
  }

  @Test func aWaitWithALimitEndsWithoutTheChild() async throws {
    let child = try await spawner.spawn(shell("sleep 3600"))
    #expect(await child.exit(within: .milliseconds(1)) == nil)
    #expect(await child.terminate(ladder: .immediate) == .signaled(SIGKILL))
    #expect(await child.exit(within: .seconds(30)) == .signaled(SIGKILL))
  }
}

@Suite struct ProcessTableTests {
  @Test func readsNamesWithParentheses() {
    let entry = ProcessTable.Entry(pid: 9, stat: "9 (a) b (c)) S 4 5 6 0 -1 4194560\n")
    #expect(entry == ProcessTable.Entry(pid: 9, stat: "9 (x) S 4 5 6 0"))
    #expect(entry?.parent == 4)
    #expect(entry?.group == 5)
    #expect(entry?.session == 6)
  }

  @Test(arguments: ["", "9", "9 (x", "9 (x) S", "9 (x) S a b c d"])
  func refusesOtherLines(line: String) {
    #expect(ProcessTable.Entry(pid: 9, stat: line) == nil)
  }

  @Test func findsChildrenOfChildren() throws {
    let lines: [(Int32, String)] = [
      (2, "2 (a) S 1 2 2 0"), (3, "3 (b) S 2 2 2 0"), (4, "4 (c) S 3 4 4 0"), (5, "5 (d) S 1 5 5 0"),
    ]
    let table = ProcessTable(entries: try lines.map { try #require(ProcessTable.Entry(pid: $0.0, stat: $0.1)) })
    #expect(table.descendants(of: 2) == [3, 4])
    #expect(table.session(2) == [2, 3])
  }
}
