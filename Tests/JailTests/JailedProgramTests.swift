import Foundation
import Glibc
import Processes
import TestSupport
import Testing

@testable import Jail

/// Real programs in real jails.
@Suite(.timeLimit(.minutes(5)), .enabled(if: !SanitizedBuild.isOn)) struct JailedProgramTests {
  private let fixture: JailFixture

  init() throws {
    fixture = try JailFixture()
  }

  private static let initialize =
    #"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocol":{"min":"1.0","max":"1.0"},"#
    + #""host":{"name":"rostrum","version":"0"},"plugin":{"id":"x","version":"1.0.0"},"#
    + #""limits":{"frameBytes":1048576,"inFlight":256}}}"# + "\n"

  @Test(arguments: JailTier.allCases) func aPluginOfThisBuildShakesHandsAndAnswers(best: JailTier) async throws {
    let jail = await fixture.jail(best: best)
    let path = try fixture.copy("plugin-x")
    let program = JailedProgram(
      plugin: "x",
      image: try fixture.open(path),
      name: path,
      directory: fixture.folder,
      environment: ["LANG": "C.UTF-8", "TZ": "UTC", "SWIFT_ROOT": fixture.folder]
    )
    let call = #"{"jsonrpc":"2.0","id":2,"method":"health/check","params":{}}"# + "\n"
    let end = try await fixture.run(program, in: jail, input: Self.initialize + call)
    #expect(end.status == .exited(0), "\(end.error)")
    let replies = end.output.split(separator: "\n")
    #expect(replies.first?.contains(#""result""#) == true, "\(end.output) \(end.error)")
    #expect(replies.contains { $0.contains(#""id":2"#) }, "\(end.output)")
  }

  /// The thread pool looks at its threads once a second while work is waiting.
  @Test(arguments: [JailTier.a, .b]) func aBusyPluginKeepsRunning(best: JailTier) async throws {
    let jail = await fixture.jail(best: best)
    let path = try fixture.copy("plugin-x")
    let program = JailedProgram(
      plugin: "x",
      image: try fixture.open(path),
      name: path,
      directory: fixture.folder,
      environment: ["SWIFT_ROOT": fixture.folder]
    )
    let text = String(repeating: "word ", count: 50)
    let calls = (2..<6_000).map { number in
      #"{"jsonrpc":"2.0","id":\#(number),"method":"post/validate","params":{"account":{"id":"7","name":"B","#
        + #""handle":"b","capabilities":{"text":{"limit":280,"target":280,"unit":"weighted"},"media":{"images":4,"#
        + #""imageBytes":5242880,"imageTypes":["image/png"],"altLimit":1000,"videos":0},"features":["delete"]}},"#
        + #""post":{"text":"\#(text)","tags":[],"mentions":[]}}}"#
    }
    let input = Self.initialize + calls.joined(separator: "\n") + "\n"
    let end = try await fixture.run(program, in: jail, input: input)
    #expect(end.status == .exited(0), "\(end.error)")
  }

  @Test(arguments: JailTier.allCases) func anInterpreterRunsTheVerifiedScript(best: JailTier) async throws {
    let jail = await fixture.jail(best: best)
    let program = try fixture.script(
      """
      import asyncio, json, os, sys, threading
      async def main():
          await asyncio.sleep(0)
          return sys.stdin.readline().strip()
      thread = threading.Thread(target=lambda: None); thread.start(); thread.join()
      # A launcher that was built to measure coverage leaves a mark of its own.
      names = sorted(name for name in os.environ if not name.startswith("__LLVM_PROFILE_"))
      print(json.dumps({"read": asyncio.run(main()), "uid": os.getuid(), "env": names}))
      """
    )
    let end = try await fixture.run(program, in: jail, input: "hello\n")
    #expect(end.status == .exited(0), "\(end.error)")
    #expect(end.output.contains(#""read": "hello""#))
    #expect(end.output.contains(#""env": ["LANG", "TZ"]"#) || end.output.contains(#"["LANG", "LC_CTYPE", "TZ"]"#))
    #expect(!end.output.contains(#""uid": 0"#))
  }

  /// The host's home may be closed to everybody; a script of one file runs all the same.
  @Test(arguments: [JailTier.a, .b]) func aScriptRunsBelowAClosedFolder(best: JailTier) async throws {
    let jail = await fixture.jail(best: best)
    let program = try fixture.script("print('ran')")
    unsafe chmod(fixture.folder, 0o700)
    let end = try await fixture.run(program, in: jail)
    #expect(end.output == "ran\n", "\(end.error)")
  }

  /// The example speaks the protocol with nothing but the interpreter's own library.
  @Test(arguments: [JailTier.a, .b]) func theExampleWithoutOurKitShakesHands(best: JailTier) async throws {
    let jail = await fixture.jail(best: best)
    let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let text = try #require(FileManager.default.contents(atPath: "\(root)/SDK/Examples/python/bundle/adapter.py"))
    let program = try fixture.script(String(decoding: text, as: UTF8.self))
    let hello = Self.initialize.replacing(#""id":"x""#, with: #""id":"example-python""#)
    let end = try await fixture.run(program, in: jail, input: hello)
    #expect(end.status == .exited(0), "\(end.error)")
    #expect(end.output.contains(#""result""#), "\(end.output) \(end.error)")
  }

  @Test(arguments: [JailTier.a, .b]) func aProgramGetsNoSocketNoFileAndNoChild(best: JailTier) async throws {
    let jail = await fixture.jail(best: best)
    let program = try fixture.script(
      """
      import os, socket
      def attempt(name, body):
          try:
              body(); print(name, "works")
          except OSError as error:
              print(name, error.errno)
      attempt("socket", lambda: socket.socket())
      attempt("passwd", lambda: open("/etc/passwd"))
      attempt("fork", os.fork)
      attempt("write", lambda: open("here", "w"))
      attempt("exec", lambda: os.execv("/bin/true", ["true"]))
      attempt("kill", lambda: os.kill(os.getppid() or 1, 0))
      """
    )
    let end = try await fixture.run(program, in: jail)
    #expect(end.status == .exited(0), "\(end.error)")
    let lines = end.output.split(separator: "\n")
    #expect(lines.count == 6)
    #expect(!end.output.contains("works"), "\(end.output)")
    #expect(lines.contains("socket \(EPERM)"))
    #expect(lines.contains("fork \(EPERM)"))
  }

  @Test(arguments: [JailTier.a, .b]) func theHostSeesHowAProgramEnded(best: JailTier) async throws {
    let jail = await fixture.jail(best: best)
    let exit = try await fixture.run(try fixture.script("raise SystemExit(7)"), in: jail)
    #expect(exit.status == .exited(7))
    let abort = try await fixture.run(try fixture.script("import os; os.abort()"), in: jail)
    #expect(abort.status == .signaled(SIGABRT))
    let child = try await fixture.spawner.spawn(
      try jail.request(for: try fixture.script("print('up', flush=True); import signal; signal.pause()"))
    )
    #expect(await Self.line(child) == "up")
    child.send(signal: SIGTERM)
    #expect(await child.exit() == .signaled(SIGTERM))
  }

  @Test(arguments: [JailTier.a, .b]) func aProgramDiesWithItsLauncher(best: JailTier) async throws {
    let jail = await fixture.jail(best: best)
    let child = try await fixture.spawner.spawn(
      try jail.request(for: try fixture.script("print('up', flush=True); import signal; signal.pause()"))
    )
    #expect(await Self.line(child) == "up")
    // The number alone, as an administrator would; not the group.
    kill(child.pid, SIGKILL)
    // The pipe ends when the last process that holds it is gone.
    #expect(await Self.line(child) == "")
    #expect(await child.exit() == .signaled(SIGKILL))
  }

  @Test func aScriptThatIsNotTheVerifiedOneIsRefused() async throws {
    let jail = await fixture.jail()
    let program = try fixture.script("print('verified')")
    let path = try #require(program.interpreter?.script)
    unsafe chmod(try #require(program.directory), 0o755)
    unsafe unlink(path)
    try Data("print('changed')".utf8).write(to: URL(fileURLWithPath: path))
    let end = try await fixture.run(program, in: jail)
    #expect(end.status == .exited(70))
    #expect(end.output == "")
    #expect(end.error.contains("rostrum-jail: cannot use the script"))
  }

  @Test func theVerifiedBytesRunWhateverThePathSays() async throws {
    let jail = await fixture.jail()
    let path = try fixture.copy("plugin-x")
    let image = try fixture.open(path)
    unsafe chmod(path, 0o755)
    unsafe unlink(path)
    try Data("#!/bin/sh\necho changed\n".utf8).write(to: URL(fileURLWithPath: path))
    let program = JailedProgram(
      plugin: "x",
      image: image,
      name: path,
      directory: fixture.folder,
      environment: ["SWIFT_ROOT": fixture.folder]
    )
    let end = try await fixture.run(program, in: jail, input: Self.initialize)
    #expect(end.output.contains(#""result""#), "\(end.error)")
  }

  /// A child forked for another plugin holds a freshly written file open for a moment.
  @Test func aFileStillOpenForWritingIsWaitedFor() async throws {
    let jail = await fixture.jail()
    let path = try fixture.copy("plugin-x")
    let image = try fixture.open(path)
    unsafe chmod(path, 0o755)
    let writer = OwnedDescriptor(adopting: unsafe Glibc.open(path, O_WRONLY | O_CLOEXEC))
    try #require(writer.rawValue ?? -1 >= 0)
    let program = JailedProgram(
      plugin: "x",
      image: image,
      name: path,
      directory: fixture.folder,
      environment: ["SWIFT_ROOT": fixture.folder]
    )
    let child = try await fixture.spawner.spawn(try jail.request(for: program))
    // By now the launcher meets the file as it is, or will meet it after this; it starts in both cases.
    writer.close()
    let line = Array(Self.initialize.utf8)
    #expect(child.standardInput?.write(line) == line.count)
    #expect(await Self.line(child).contains(#""result""#))
    child.standardInput?.close()
    #expect(await child.exit() == .exited(0))
  }

  @Test func manyStartsLeakNothing() async throws {
    let jail = await fixture.jail()
    let program = try fixture.script("print('done')")
    _ = try await fixture.run(program, in: jail)
    let before = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    for _ in 0..<20 { #expect(try await fixture.run(program, in: jail).output == "done\n") }
    // Other tests of this process may open a few meanwhile.
    #expect(try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count < before + 20)
    let own = ProcessTable.read().descendants(of: getpid())
    for pid in own {
      let stat = SmallFile.read("/proc/\(pid)/stat") ?? ""
      #expect(!(stat.contains("(rostrum-jail) Z") || stat.contains("(python3.11) Z")), "\(stat)")
    }
  }

  /// Reads what is written at once.
  private static func line(_ child: ChildProcess) async -> String {
    guard let pipe = child.standardOutput?.rawValue else { return "no pipe" }
    return await withCheckedContinuation { continuation in
      DispatchQueue.global().async {
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = unsafe read(pipe, &buffer, buffer.count)
        let text = String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self)
        continuation.resume(returning: text.trimmingCharacters(in: .whitespacesAndNewlines))
      }
    }
  }
}
