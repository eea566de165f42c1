import Audit
import FoundationEssentials
import JSONDocument
import Jail
import PluginManifest
import PluginStore
import Postgres
import Processes
import Server

/// `rostrum plugin …`: what is installed.
enum PluginCommands {
  static let all = [list, why, lock] + PluginInstallCommands.all + PluginBundleCommands.all

  private static let list = Command(
    words: ["plugin", "list"],
    summary: "Show the installed plugins",
    options: [.flag("egress", "print the servers they may reach as host:port lines, for a firewall")]
  ) { invocation in
    try await withRegistry(invocation) { registry in
      let generation = try await registry.current()
      if invocation.flag("egress") {
        showEgress(generation, invocation)
        return .success
      }
      let waiting = try await registry.waiting()
      let jail = try await jail(invocation)
      invocation.show([
        "generation": .int(generation.number), "plugins": .array(generation.bundles.map(json)),
        "waiting": .array(waiting.map(json)), "tier": .string("\(jail.tier)"),
      ]) { show(generation, waiting, jail, invocation.terminal) }
      return .success
    }
  }

  private static let why = Command(
    words: ["plugin", "why"],
    summary: "Tell why a plugin runs as it does: its version, key and grants, what waits, and what happened",
    operands: [.init(name: "PLUGIN", about: "the plugin's id")]
  ) { invocation in
    let id = invocation.operand(0)
    return try await withRegistry(invocation) { registry in
      let generation = try await registry.current()
      let current = generation.bundle(of: id)
      let name = current?.id ?? id
      let waiting = try await registry.waiting().first { $0.id == name }
      let events = try await registry.events(of: name)
      let kept = try await registry.bundles(of: name)
      guard current != nil || waiting != nil || !events.isEmpty else {
        throw CommandError(.notFound, "No plugin \(id) is or was installed; see `rostrum plugin list`")
      }
      let approval = waiting.flatMap { Approval.needed(for: $0.manifest, after: current?.manifest) }
      invocation.show([
        "plugin": .string(name), "generation": .int(generation.number), "current": current.map(json) ?? .null,
        "grants": .array((current?.manifest.grants.all ?? []).map { .string($0.words) }),
        "waiting": waiting.map(json) ?? .null,
        "asks": .array((approval?.grants ?? []).map { .string($0.words) }), "kept": .array(kept.map(json)),
        "events": .array(events.map(json)),
      ]) { tell(name, current, waiting, approval, kept, events, invocation.terminal) }
      return .success
    }
  }

  private static let lock = Command(
    words: ["plugin", "lock"],
    summary: "Print \(LockFile.name): the versions, keys and grants, to keep in a repository",
    options: [.value("out", "FILE", "write the file instead of printing it")]
  ) { invocation in
    try await withRegistry(invocation) { registry in
      let text = LockFile.text(try await registry.current())
      guard let path = invocation.option("out") else {
        invocation.terminal.print(String(text.dropLast()))
        return .success
      }
      do {
        try Data(text.utf8).write(to: URL(filePath: path), options: .atomic)
      } catch {
        throw CommandError(.failure, "\(path) can not be written: \(error)")
      }
      invocation.show(["file": .string(path)]) { invocation.terminal.print("Wrote \(path).") }
      return .success
    }
  }

  static func withRegistry(
    _ invocation: Invocation,
    _ body: (PluginRegistry) async throws -> ExitCode
  ) async throws -> ExitCode {
    try await invocation.withPool { pool in
      try await body(PluginRegistry(pool: pool) { AuditEntry.byCommandLine($0, $1) })
    }
  }

  /// What holds plugins back on this machine, found out as a host does it.
  private static func jail(_ invocation: Invocation) async throws -> JailReport {
    let configuration = try invocation.configuration()
    let jail = await Jail.probe(
      launcher: configuration.launcher,
      spawner: try Spawner(),
      logger: invocation.quietLogger,
      best: configuration.bestTier
    )
    return jail.report
  }

  // MARK: Output

  private static func show(
    _ generation: Generation,
    _ waiting: [StoredBundle],
    _ jail: JailReport,
    _ terminal: Terminal
  ) {
    terminal.table(
      ["id", "name", "version", "kind", "also", "from", "publisher"],
      generation.bundles.map { bundle in
        let manifest = bundle.manifest.manifest
        return [
          manifest.id, manifest.name, "\(manifest.version)", manifest.kind.rawValue,
          manifest.aliases.joined(separator: ", "), bundle.source, short(bundle.manifest.publisher),
        ]
      }
    )
    for bundle in waiting {
      terminal.print()
      terminal.print("\(bundle.id) \(bundle.version) waits for approval; see `rostrum plugin why \(bundle.id)`")
    }
    terminal.print()
    terminal.print("On this machine plugins run in a jail of \(jail.summary).")
  }

  private static func showEgress(_ generation: Generation, _ invocation: Invocation) {
    let hosts = Set(generation.bundles.flatMap(\.manifest.grants.hosts)).sorted()
    let open = generation.bundles.filter(\.manifest.grants.usesAccountAddresses).map(\.id)
    invocation.show([
      "hosts": .array(hosts.map { .string($0) }), "userAddresses": .array(open.map { .string($0) }),
    ]) {
      for host in hosts { invocation.terminal.print(host) }
      if !open.isEmpty {
        invocation.terminal.complain(
          "Beside these, \(open.joined(separator: ", ")) reach addresses that users enter for their accounts."
        )
      }
    }
  }

  private static func tell(
    _ name: String,
    _ current: StoredBundle?,
    _ waiting: StoredBundle?,
    _ approval: Approval?,
    _ kept: [StoredBundle],
    _ events: [StoredEvent],
    _ terminal: Terminal
  ) {
    if let current {
      terminal.print(terminal.styled("\(name) \(current.version) is installed", .bold))
      terminal.print("It came from \(current.source), signed by \(current.manifest.publisher).")
      if let version = current.manifest.manifest.apiVersion {
        let end = version.sunset.map { ", which the platform ends on \($0)" } ?? ""
        terminal.print("It is written for version \(version.name) of the platform's interface\(end).")
      }
      if let by = current.approvedBy, let at = current.approvedAt {
        terminal.print("\(by) approved what it may do on \(RFC3339.format(at)):")
      }
      for grant in current.manifest.grants.all { terminal.print("- \(grant.words)") }
      let older = kept.filter { $0.digest != current.digest && $0.approvedBy != nil }.map { "\($0.version)" }
      if !older.isEmpty { terminal.print("`rostrum plugin rollback` can go back to: \(older.joined(separator: ", "))") }
    } else {
      terminal.print(terminal.styled("\(name) is not installed", .bold))
    }
    if let waiting {
      terminal.print()
      terminal.print(terminal.styled("Version \(waiting.version) waits for approval", .yellow))
      for line in approval?.lines(publisher: waiting.manifest.publisher) ?? [] { terminal.print(line) }
      terminal.print("Approve it with `rostrum plugin approve \(name)`.")
    }
    guard !events.isEmpty else { return }
    terminal.print()
    terminal.table(
      ["time", "what", "by"],
      events.map { [RFC3339.format($0.createdAt), $0.message, $0.madeBy] }
    )
  }

  static func short(_ publisher: String) -> String {
    publisher.count > 24 ? String(publisher.prefix(22)) + "…" : publisher
  }

  static func json(_ bundle: StoredBundle) -> JSONValue {
    let manifest = bundle.manifest.manifest
    return [
      "id": .string(manifest.id), "name": .string(manifest.name), "version": .string("\(manifest.version)"),
      "kind": .string(manifest.kind.rawValue), "aliases": .array(manifest.aliases.map { .string($0) }),
      "digest": .string(bundle.digest), "publisher": .string(bundle.manifest.publisher),
      "source": .string(bundle.source), "isFirstParty": .bool(bundle.isFirstParty), "bytes": .int(bundle.bytes),
      "approvedBy": bundle.approvedBy.map { .string($0) } ?? .null,
      "approvedAt": bundle.approvedAt.map { .string(RFC3339.format($0)) } ?? .null,
      "createdAt": .string(RFC3339.format(bundle.createdAt)),
    ]
  }

  private static func json(_ event: StoredEvent) -> JSONValue {
    [
      "id": .int(event.id), "plugin": .string(event.plugin), "version": event.version.map { .string($0) } ?? .null,
      "kind": .string(event.kind), "message": .string(event.message),
      "details": (try? JSONValue.parse(event.details)) ?? .string(event.details),  // stored by us as JSON
      "by": .string(event.madeBy), "at": .string(RFC3339.format(event.createdAt)),
    ]
  }
}
