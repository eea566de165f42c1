import FoundationEssentials
import Glibc
import JSONDocument
import JSONText
import PluginTestKit
import Processes

/// `rostrum plugin dev`: runs an adapter against a sandbox again whenever one of its files changes.
enum PluginDevLoop {
  /// How often the files are looked at.
  private static let interval = Duration.milliseconds(400)
  private static let token = "dev-token"

  static let command = Command(
    words: ["plugin", "dev"],
    summary: "Publish an adapter's posts to a sandbox, again at each change of its files",
    operands: [PluginDevAdapter.operand],
    options: PluginDevAdapter.options + [
      .value("build", "COMMAND", "run this first, in the folder above the bundle"),
      .value("secrets", "NAME=VALUE,…", "values of the manifest's secrets; “\(token)” for those left out"),
      .flag("once", "end after the first run"),
    ]
  ) { invocation in
    let what = PluginDevAdapter.absolute(invocation.operand(0))
    // Of a bundle the folder above too, where sources and cases lie.
    let root = PluginDevAdapter.parent(of: what)
    let spawner = try Spawner()
    let sandbox = try await SandboxProcess(
      executable: "\(PluginDevAdapter.ownFolder)/rostrum-sandbox",
      spawner: spawner,
      arguments: ["--account", "dev:\(token)"]
    )
    if !invocation.wantsJSON { invocation.terminal.print("What is published shows at \(sandbox.origin)/") }
    var seen: [String: FileStamp] = [:]
    while true {
      let files = stamps(below: root)
      guard files != seen else {
        try await Task.sleep(for: interval)
        continue
      }
      let isGood = await round(invocation, sandbox: sandbox, spawner: spawner, root: root)
      // Building changes files too, and that must not start another round.
      seen = stamps(below: root)
      if invocation.flag("once") {
        await sandbox.stop()
        return isGood ? .success : .failure
      }
      if !invocation.wantsJSON { invocation.terminal.print(invocation.terminal.styled("Waiting for a change…", .dim)) }
    }
  }

  /// Prints one thing that was tried.
  static func show(_ line: Rehearsal.Line, _ invocation: Invocation) {
    let terminal = invocation.terminal
    if invocation.wantsJSON {
      let value: JSONValue = [
        "what": .string(line.what), "good": .bool(line.isGood), "detail": .string(line.detail),
        "ms": .int(line.milliseconds),
      ]
      return terminal.print(value.text())
    }
    let mark = terminal.styled(line.isGood ? "ok  " : "fail", line.isGood ? .green : .red)
    terminal.print("\(mark)  \(line.what)  \(line.detail)  (\(line.milliseconds) ms)")
  }

  private static func round(
    _ invocation: Invocation,
    sandbox: SandboxProcess,
    spawner: Spawner,
    root: String
  ) async -> Bool {
    do {
      if let build = invocation.option("build") { try await run(build, in: root, invocation, spawner) }
      let adapter = try PluginDevAdapter(invocation)
      guard let port = sandbox.origin.split(separator: ":").last.flatMap({ UInt16($0) }) else {
        throw CommandError(.failure, "The sandbox's address \(sandbox.origin) has no port")
      }
      let rehearsal = Rehearsal(
        launch: adapter.launch,
        manifest: adapter.manifest,
        cases: try adapter.requiredCases(),
        platform: SandboxPlatform(port: port, secrets: try secrets(adapter, invocation))
      )
      return await rehearsal.run { show($0, invocation) }
    } catch {
      // Half a change is no reason to stop: the next one may mend it.
      invocation.terminal.complain("rostrum: \(Failures.describe(error).text)")
      return false
    }
  }

  private static func run(
    _ command: String,
    in folder: String,
    _ invocation: Invocation,
    _ spawner: Spawner
  ) async throws {
    var environment = ["LANG": "C.UTF-8"]
    for name in ["PATH", "HOME"] { environment[name] = invocation.environment[name] }
    let request = SpawnRequest(
      executable: "/bin/sh",
      arguments: ["-c", command],
      environment: environment,
      workingDirectory: folder,
      standardInput: .null,
      standardOutput: .inherit,
      standardError: .inherit
    )
    let child = try await spawner.spawn(request)
    let status = await child.exit()
    guard status == .exited(0) else { throw CommandError(.failure, "`\(command)` ended with \(status)") }
  }

  private static func secrets(_ adapter: PluginDevAdapter, _ invocation: Invocation) throws -> [String: String] {
    var secrets: [String: String] = [:]
    let declared = try adapter.manifest.document.object().optionalObject("secrets")?.keys ?? []
    for name in declared { secrets[name] = token }
    for pair in (invocation.option("secrets") ?? "").split(separator: ",") {
      let halves = pair.split(separator: "=", maxSplits: 1).map(String.init)
      guard halves.count == 2, declared.contains(halves[0]) else {
        throw CommandError(
          .usage,
          "--secrets has “\(halves[0])”; the manifest declares \(declared.joined(separator: ", "))"
        )
      }
      secrets[halves[0]] = halves[1]
    }
    return secrets
  }

  // MARK: Files

  /// What tells a changed file from an unchanged one.
  private struct FileStamp: Equatable {
    let size: Int64
    let seconds: Int
    let nanoseconds: Int
  }

  /// All files below a folder but hidden ones and caches.
  private static func stamps(below root: String) -> [String: FileStamp] {
    var stamps: [String: FileStamp] = [:]
    // A folder that vanishes in between counts as empty; its return is a change.
    for name in (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? [] {
      if name.hasPrefix(".") || name == "__pycache__" { continue }
      let path = "\(root)/\(name)"
      var status = stat()
      guard unsafe lstat(path, &status) == 0 else { continue }
      if status.st_mode & S_IFMT == S_IFDIR {
        stamps.merge(Self.stamps(below: path)) { $1 }
      } else {
        stamps[path] = FileStamp(
          size: Int64(status.st_size),
          seconds: status.st_mtim.tv_sec,
          nanoseconds: status.st_mtim.tv_nsec
        )
      }
    }
    return stamps
  }
}
