import Foundation
import Glibc
import Processes
import Testing

@Suite(.timeLimit(.minutes(10))) struct SpawnerTests {
  private let spawner: Spawner

  init() throws {
    spawner = try Spawner()
  }

  private func shell(_ script: String) -> SpawnRequest {
    SpawnRequest(executable: "/bin/sh", arguments: ["-c", script])
  }

  private func text(_ bytes: [UInt8]) -> String {
    String(decoding: bytes, as: UTF8.self)
  }

  @Test func passesInputAndGathersBothOutputs() async throws {
    let output = try await spawner.output(of: shell("cat; echo warn >&2; exit 3"), input: Array("hello".utf8))
    #expect(text(output.standardOutput) == "hello")
    #expect(text(output.standardError) == "warn\n")
    #expect(output.status == .exited(3))
  }

  @Test func aProgramStillOpenForWritingIsWaitedFor() async throws {
    let path = FileManager.default.temporaryDirectory.path + "/rostrum-busy-\(UUID().uuidString)"
    try FileManager.default.copyItem(atPath: "/bin/true", toPath: path)
    defer { unsafe unlink(path) }
    let writer = OwnedDescriptor(adopting: unsafe open(path, O_WRONLY | O_CLOEXEC))
    try #require(writer.rawValue ?? -1 >= 0)
    async let output = spawner.output(of: SpawnRequest(executable: path))
    // Whether the start has met the file by now or not, it must go well.
    writer.close()
    #expect(try await output.status == .exited(0))
  }

  @Test func theChildHasTheEnvironmentAndDirectoryItWasGivenAndNothingElse() async throws {
    let request = SpawnRequest(
      executable: "/usr/bin/env",
      environment: ["A": "1", "B": "two words"],
      workingDirectory: "/"
    )
    let output = try await spawner.output(of: request)
    #expect(text(output.standardOutput) == "A=1\nB=two words\n")
    let directory = SpawnRequest(executable: "/bin/pwd", workingDirectory: "/usr")
    #expect(text(try await spawner.output(of: directory).standardOutput) == "/usr\n")
  }

  @Test func theChildHoldsThreeDescriptorsOnly() async throws {
    let leaked = unsafe open("/dev/null", O_RDONLY)
    defer { close(leaked) }
    // The glob is expanded by the shell, which opens the directory as its fourth descriptor.
    let output = try await spawner.output(of: shell("echo /proc/$$/fd/*"))
    let names = text(output.standardOutput).split(whereSeparator: \.isWhitespace).compactMap {
      $0.split(separator: "/").last
    }
    #expect(names.filter { ["0", "1", "2"].contains($0) }.count == 3)
    #expect(names.count <= 4)
  }

  @Test func moreDescriptorsGetNumbersInOrderAndNothingElseIsOpen() async throws {
    let pipes = try (0..<3).map { _ in try OwnedDescriptor.makePipe() }
    var request = shell("echo one >&3; echo two >&4; echo three >&5; cat /proc/self/fd/6 2>/dev/null; echo $?")
    request.descriptors = pipes.map(\.write)
    let output = try await spawner.output(of: request)
    #expect(text(output.standardOutput) == "1\n")
    for (pipe, word) in zip(pipes, ["one\n", "two\n", "three\n"]) {
      var buffer = [UInt8](repeating: 0, count: 16)
      let count = unsafe read(try #require(pipe.read.rawValue), &buffer, buffer.count)
      #expect(text(Array(buffer.prefix(max(0, count)))) == word)
    }
  }

  /// A source may have the number that another one is to get.
  @Test func moreDescriptorsMayBeSwapped() async throws {
    let pipes = try (0..<8).map { _ in try OwnedDescriptor.makePipe() }
    var request = shell("for i in 3 4 5 6 7 8 9; do eval \"echo $i >&$i\"; done")
    request.descriptors = pipes.map(\.write).reversed()
    #expect(try await spawner.output(of: request).status.isSuccess)
    for (pipe, number) in zip(pipes.reversed(), 3...9) {
      var buffer = [UInt8](repeating: 0, count: 16)
      let count = unsafe read(try #require(pipe.read.rawValue), &buffer, buffer.count)
      #expect(text(Array(buffer.prefix(max(0, count)))) == "\(number)\n")
    }
  }

  @Test func tooManyOrClosedDescriptorsAreAnErrorOfTheStart() async throws {
    let pipe = try OwnedDescriptor.makePipe()
    var request = SpawnRequest(executable: "/bin/true", descriptors: Array(repeating: pipe.write, count: 9))
    let many = await #expect(throws: SpawnError.self) { _ = try await spawner.spawn(request) }
    #expect(many?.step == .streams)
    pipe.read.close()
    request.descriptors = [pipe.read]
    let closed = await #expect(throws: SpawnError.self) { _ = try await spawner.spawn(request) }
    #expect(closed?.step == .streams)
  }

  @Test func theChildHasDefaultSignalsAndLeadsItsSession() async throws {
    let output = try await spawner.output(of: shell("cat /proc/self/status; cut -d' ' -f6 /proc/$$/stat; echo $$"))
    let lines = text(output.standardOutput).split(separator: "\n")
    #expect(lines.contains("SigIgn:\t0000000000000000"))
    #expect(lines.contains("SigBlk:\t0000000000000000"))
    #expect(lines.suffix(2).first == lines.last)
  }

  @Test func aMissingProgramIsAnErrorOfTheStart() async {
    let error = await #expect(throws: SpawnError.self) {
      _ = try await spawner.spawn(SpawnRequest(executable: "/nonexistent/program"))
    }
    #expect(error?.step == .execute)
    #expect(error?.code == ENOENT)
  }

  @Test func aMissingDirectoryIsAnErrorOfTheStart() async {
    let error = await #expect(throws: SpawnError.self) {
      _ = try await spawner.spawn(SpawnRequest(executable: "/bin/true", workingDirectory: "/nonexistent"))
    }
    #expect(error?.step == .directory)
  }

  @Test func aNulInAnArgumentIsRefused() async {
    let error = await #expect(throws: SpawnError.self) {
      _ = try await spawner.spawn(SpawnRequest(executable: "/bin/true", arguments: ["a\u{0}b"]))
    }
    #expect(error?.step == .arguments)
  }

  @Test func tellsSignalsFromExitCodes() async throws {
    let killed = try await spawner.spawn(shell("kill -9 $$"))
    #expect(await killed.exit() == .signaled(SIGKILL))
    let code = try await spawner.spawn(shell("exit 7"))
    #expect(await code.exit() == .exited(7))
    #expect(code.exitStatus == .exited(7))
    #expect(code.send(signal: SIGTERM) == false)
  }

  @Test func aDeadlineKillsTheProgram() async throws {
    let output = try await spawner.output(of: shell("echo before; sleep 3600"), deadline: .milliseconds(200))
    #expect(output.missedDeadline)
    #expect(output.status == .signaled(SIGKILL))
  }

  @Test func keepsOnlyTheLimitOfALongOutput() async throws {
    let output = try await spawner.output(of: shell("head -c 3000000 /dev/zero"), limit: 1_000)
    #expect(output.standardOutput.count == 1_000)
    #expect(output.status == .exited(0))
  }

  @Test(.enabled(if: getuid() == 0)) func runsAsAnotherUserWithoutOtherGroups() async throws {
    var request = shell("id -u; id -g; id -G")
    request.user = SpawnRequest.User(uid: 65_534, gid: 65_534)
    let output = try await spawner.output(of: request)
    #expect(text(output.standardOutput) == "65534\n65534\n65534\n")
    #expect(getuid() == 0)
  }

  @Test func startsManyAtOnceAndReapsEachOnce() async throws {
    let codes = try await withThrowingTaskGroup(of: ExitStatus.self) { group in
      for code in 0..<40 {
        group.addTask { try await spawner.spawn(shell("exit \(code)")).exit() }
      }
      var codes: [Int32] = []
      for try await status in group {
        guard case .exited(let code) = status else { continue }
        codes.append(code)
      }
      return codes.sorted()
    }
    #expect(codes == Array(0..<40))
  }
}
