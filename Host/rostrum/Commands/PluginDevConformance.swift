import FoundationEssentials
import Glibc
import JSONText
import Jail
import PluginTestKit
import Processes

/// `rostrum plugin conformance`
enum PluginDevConformance {
  static let command = Command(
    words: ["plugin", "conformance"],
    summary: "Judge an adapter in any language; ends with 1 when a check fails",
    operands: [PluginDevAdapter.operand],
    options: PluginDevAdapter.options + [
      .value("only", "CHECKS", "checks or groups whose names begin so, with commas between"),
      .value("report", "FILE", "write the report for programs there"),
      .flag("long", "take the time for many repetitions"),
      .flag("list", "show what is checked, and run nothing"),
    ]
  ) { invocation in
    if invocation.flag("list") {
      invocation.terminal.table(
        ["check", "an adapter passes that"],
        ConformanceSuite.catalogue.map { [$0.id, $0.title] }
      )
      return .success
    }
    let adapter = try PluginDevAdapter(invocation)
    let jail = await jail(invocation)
    // The verified program's descriptor belongs to the request; it must stay open while the suite runs.
    let request = jail.flatMap { confine(adapter, $0) }
    let suite = ConformanceSuite(
      launch: adapter.launch,
      manifest: adapter.manifest,
      cases: adapter.cases,
      directory: adapter.isFolder ? adapter.directory : nil,
      confined: request.map(launch),
      isLong: invocation.flag("long")
    )
    let only = (invocation.option("only") ?? "").split(separator: ",").map(String.init)
    let report = await suite.run(only: only) { entry in
      if !invocation.wantsJSON { show(entry, invocation.terminal) }
    }
    withExtendedLifetime(request) {}
    if report.entries.isEmpty { throw CommandError(.usage, "No check is named so; `--list` shows them all") }
    if let path = invocation.option("report") {
      guard FileManager.default.createFile(atPath: path, contents: Data(report.json.bytes)) else {
        throw CommandError(.failure, "\(path) cannot be written")
      }
    }
    if invocation.wantsJSON {
      invocation.terminal.print(report.json.text)
    } else {
      tell(report, invocation.terminal)
    }
    return report.isConformant ? .success : .failure
  }

  private static func show(_ entry: ConformanceReport.Entry, _ terminal: Terminal) {
    let style: Terminal.Style =
      switch entry.outcome {
      case .passed: .green
      case .failed: .red
      case .skipped: .dim
      }
    let name = entry.id + String(repeating: " ", count: max(1, 28 - entry.id.count))
    terminal.print("\(terminal.styled(entry.outcome.rawValue, style))  \(name)\(entry.title)")
    if entry.outcome != .passed, let detail = entry.detail { terminal.print("        → \(detail)") }
  }

  private static func tell(_ report: ConformanceReport, _ terminal: Terminal) {
    let counts = [ConformanceReport.Outcome.passed, .failed, .skipped].map { "\(report.count($0)) \($0.rawValue)" }
    let verdict = report.isConformant ? "conforms" : "does not conform"
    terminal.print("\(report.plugin) \(report.version) \(verdict): \(counts.joined(separator: ", ")).")
  }

  // MARK: Jail

  /// The best jail that this machine has; nil if the launcher is missing or does not work.
  private static func jail(_ invocation: Invocation) async -> Jail? {
    let launcher = "\(PluginDevAdapter.ownFolder)/rostrum-jail"
    // Without a spawner nothing of the host works; the check that needs the jail is skipped then, and says so.
    guard PluginDevAdapter.isFile(launcher), let spawner = try? Spawner() else { return nil }
    let jail = await Jail.probe(launcher: launcher, spawner: spawner, logger: invocation.quietLogger)
    return jail.report.failure == nil ? jail : nil
  }

  private static func confine(_ adapter: PluginDevAdapter, _ jail: Jail) -> SpawnRequest? {
    let descriptor = unsafe open(adapter.program, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    let program = JailedProgram(
      plugin: adapter.manifest.id,
      image: OwnedDescriptor(adopting: descriptor),
      name: adapter.program,
      directory: PluginDevAdapter.parent(of: adapter.program),
      interpreter: adapter.manifest.interpreter.map {
        JailedProgram.Interpreter(path: $0, script: adapter.program)
      },
      readPaths: adapter.readPaths,
      environment: adapter.launch.environment
    )
    // A program that the jail does not take is reported by the check that starts it outside.
    return try? jail.request(for: program)
  }

  private static func launch(_ request: SpawnRequest) -> AdapterLaunch {
    AdapterLaunch(
      executable: request.executable,
      arguments: request.arguments,
      environment: request.environment,
      descriptors: request.descriptors.compactMap(\.rawValue)
    )
  }
}
