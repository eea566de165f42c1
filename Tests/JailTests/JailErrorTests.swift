import Foundation
import Glibc
import Processes
import TestSupport
import Testing

@testable import Jail

/// What people read when a plugin can not be put into the jail.
@Suite(.timeLimit(.minutes(2)), .enabled(if: !SanitizedBuild.isOn)) struct JailErrorTests {
  private let fixture: JailFixture

  init() throws {
    fixture = try JailFixture()
  }

  @Test func aMissingLauncherIsNamed() async throws {
    let jail = await Jail.probe(
      launcher: "/nonexistent/rostrum-jail",
      spawner: fixture.spawner,
      logger: fixture.logger
    )
    #expect(jail.tier == .c)
    #expect(jail.report.failure?.contains("/nonexistent/rostrum-jail") == true)
    let program = JailedProgram(plugin: "x", image: try fixture.open(fixture.launcher), name: "x")
    let error = #expect(throws: JailError.self) { try jail.request(for: program) }
    #expect("\(error.map { "\($0)" } ?? "")".contains("It belongs beside the rostrum program"))
  }

  @Test func aBrokenLauncherIsNamed() async throws {
    let path = "\(fixture.folder)/broken"
    try Data("#!/bin/sh\necho 'no such kernel' >&2\nexit 70\n".utf8).write(to: URL(fileURLWithPath: path))
    unsafe chmod(path, 0o755)
    let jail = await Jail.probe(launcher: path, spawner: fixture.spawner, logger: fixture.logger)
    #expect(jail.report.failure != nil)
  }

  @Test func aScriptWithoutInterpreterIsExplained() async throws {
    let jail = await fixture.jail(best: .b)
    let path = "\(fixture.folder)/script"
    try Data("#!/bin/sh\n".utf8).write(to: URL(fileURLWithPath: path))
    let program = JailedProgram(plugin: "x", image: try fixture.open(path), name: "script")
    let error = #expect(throws: JailError.self) { try jail.request(for: program) }
    #expect(error.map { "\($0)" }?.contains("its manifest must name the interpreter") == true)
  }

  @Test(arguments: ["/", "/proc", "/proc/self", "/sys", "/dev/mem", "relative", "/usr/../proc"])
  func pathsOfTheKernelAreRefused(path: String) async throws {
    let jail = await fixture.jail(best: .c)
    let program = JailedProgram(
      plugin: "x",
      image: try fixture.open(fixture.launcher),
      name: "x",
      readPaths: [path]
    )
    #expect(throws: JailError.pathRefused(path)) { try jail.request(for: program) }
  }

  @Test func aPathThatIsMissingIsNamedByTheLauncher() async throws {
    let jail = await fixture.jail(best: .b)
    let program = JailedProgram(
      plugin: "x",
      image: try fixture.open(fixture.launcher),
      name: "x",
      readPaths: ["/nonexistent/folder"]
    )
    let end = try await fixture.run(program, in: jail)
    #expect(end.status == .exited(70))
    #expect(end.error == "rostrum-jail: cannot open /nonexistent/folder: No such file or directory\n")
  }

  @Test func theLauncherExplainsItselfToPeople() async throws {
    for arguments in [[], ["run"], ["run", "-t", "q", "--", "x"], ["run", "-u", "0", "--", "x"], ["help"]] {
      let output = try await fixture.spawner.output(
        of: SpawnRequest(executable: fixture.launcher, arguments: arguments)
      )
      #expect(output.status == .exited(64), "\(arguments)")
      #expect(String(decoding: output.standardError, as: UTF8.self).contains("started by rostrum"))
    }
  }
}
