import Glibc
import Processes
import TestSupport
import Testing

@testable import Jail

/// Nothing gets out of the tiers that the probe reports, whoever runs the host.
@Suite(.timeLimit(.minutes(5)), .enabled(if: !SanitizedBuild.isOn)) struct JailEscapeTests {
  private let fixture: JailFixture

  init() throws {
    fixture = try JailFixture()
  }

  @Test(arguments: JailTier.allCases) func theProbeReportsOnlyTiersThatHold(best: JailTier) async throws {
    let jail = await fixture.jail(best: best)
    let last = try #require(jail.report.trials.last, "\(jail.report.summary)")
    #expect(jail.tier <= best)
    #expect(last.output.problem == nil)
    if jail.tier.holdsStrangers {
      #expect(last.output.escapes.isEmpty)
      #expect(last.output.results.count == EscapeAttempt.allCases.count)
    }
  }

  /// The attempts are real: where nothing holds the probe back, they work.
  @Test func withoutAJailTheProbeGetsOut() async throws {
    let targets = try ProbeTargets()
    defer { targets.remove() }
    let output = try await fixture.spawner.output(
      of: SpawnRequest(executable: fixture.launcher, arguments: ["probe"] + targets.arguments)
    )
    let result = ProbeOutput(
      standardOutput: String(decoding: output.standardOutput, as: UTF8.self),
      standardError: "",
      status: output.status
    )
    let open = Set(result.escapes.map(\.attempt))
    for attempt in [
      EscapeAttempt.internet, .unixSocket, .abstractSocket, .readFile, .readProcess, .signal, .execute, .fork,
      .writeFile,
    ] {
      #expect(open.contains(attempt), "\(attempt)")
    }
  }

  /// Root, then somebody without any right; each tier that the machine offers.
  @Test(arguments: ["a", "b"], [true, false]) func noAttemptWorks(letter: String, asRoot: Bool) async throws {
    guard !asRoot || geteuid() == 0 else { return }
    let users = asRoot ? PluginUsers(range: 2_000_000_000..<2_000_065_536) : nil
    let report = JailReport(
      tier: letter == "a" ? .a : .b,
      launcher: fixture.launcher,
      separatesUsers: asRoot,
      trials: [],
      limiting: .watching("this is a test"),
      failure: nil
    )
    let jail = Jail(
      report: report,
      letter: letter,
      users: users,
      groups: nil,
      watch: ResourceWatch(records: nil, logger: fixture.logger),
      logger: fixture.logger
    )
    let targets = try ProbeTargets()
    defer { targets.remove() }
    let program = JailedProgram(
      plugin: "probe",
      image: try fixture.open(fixture.launcher),
      name: "probe",
      arguments: ["probe"] + targets.arguments
    )
    var request = try jail.request(for: program)
    if !asRoot, geteuid() == 0 { request.user = SpawnRequest.User(uid: 65_534, gid: 65_534) }
    let output = try await fixture.spawner.output(of: request)
    let error = String(decoding: output.standardError, as: UTF8.self)
    let result = ProbeOutput(
      standardOutput: String(decoding: output.standardOutput, as: UTF8.self),
      standardError: error,
      status: output.status
    )
    if letter == "a", error.contains("leave the host's namespaces") { return }
    #expect(result.problem == nil)
    #expect(result.escapes == [])
    #expect(result.results.count == EscapeAttempt.allCases.count)
  }
}
