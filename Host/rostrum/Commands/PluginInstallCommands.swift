import Glibc
import JSONDocument
import PluginManifest
import PluginStore
import Server

/// `rostrum plugin …`: what changes the installed set.
enum PluginInstallCommands {
  static let all = [install, upgrade, approve, refuse, rollback, remove]

  private static let what = Command.Operand(
    name: "WHAT",
    about: "a bundle's file, a folder or manifest to pack here, or an https:// address"
  )
  private static let plugin = Command.Operand(name: "PLUGIN", about: "the plugin's id")
  private static let yes = Command.Option.flag("yes", "approve what it asks for without looking")

  private static let install = Command(
    words: ["plugin", "install"],
    summary: "Install a plugin, or another version of one; running hosts use it at once",
    operands: [what],
    options: [yes]
  ) { invocation in
    try await bring(invocation) { _ in }
  }

  private static let upgrade = Command(
    words: ["plugin", "upgrade"],
    summary: "Install a newer version of an installed plugin",
    operands: [what],
    options: [yes]
  ) { invocation in
    try await PluginCommands.withRegistry(invocation) { registry in
      let generation = try await registry.current()
      return try await bring(invocation, registry) { manifest in
        let new = manifest.manifest
        guard let current = generation.bundle(of: new.id) else {
          throw StoreError(.notFound, "\(new.id) is not installed; use `rostrum plugin install`")
        }
        guard new.version > current.version || current.digest == manifest.digest else {
          throw StoreError(.conflict, "\(new.id) \(new.version) is not newer than the installed \(current.version)")
        }
      }
    }
  }

  private static let approve = Command(
    words: ["plugin", "approve"],
    summary: "Approve what the waiting version of a plugin asks for, and use it",
    operands: [plugin],
    options: [.value("digest", "SHA256", "only if it is this bundle, as `plugin why` shows it")]
  ) { invocation in
    try await PluginCommands.withRegistry(invocation) { registry in
      let outcome = try await registry.approve(
        invocation.operand(0),
        digest: invocation.option("digest"),
        by: actor(invocation)
      )
      return show(outcome, invocation)
    }
  }

  private static let refuse = Command(
    words: ["plugin", "refuse"],
    summary: "Throw away the version of a plugin that waits for approval",
    operands: [plugin]
  ) { invocation in
    try await PluginCommands.withRegistry(invocation) { registry in
      let id = invocation.operand(0)
      try await registry.refuse(id, by: actor(invocation))
      invocation.show(["refused": .string(id)]) { invocation.terminal.print("The waiting version of \(id) is gone.") }
      return .success
    }
  }

  private static let rollback = Command(
    words: ["plugin", "rollback"],
    summary: "Go back to an earlier version; needs no network",
    operands: [plugin],
    options: [
      .value("to", "VERSION", "the version; the one before the current one when left out"),
      .value("reason", "TEXT", "why, for the record"),
    ]
  ) { invocation in
    try await PluginCommands.withRegistry(invocation) { registry in
      let name = invocation.operand(0)
      let id = try await registry.current().bundle(of: name)?.id ?? name
      let version = invocation.option("to")
      if let version, SemanticVersion(version) == nil {
        throw CommandError(.usage, "--to is “\(version)”; allowed is a version such as 1.2.3")
      }
      let back = try await registry.rollBack(
        id,
        to: version,
        reason: invocation.option("reason") ?? "asked for on the command line",
        by: actor(invocation)
      )
      guard let back else { throw CommandError(.failure, "\(id) was changed by somebody else at this moment") }
      invocation.show([
        "plugin": .string(id), "version": .string("\(back.bundle.version)"), "digest": .string(back.bundle.digest),
        "generation": .int(back.generation),
      ]) { invocation.terminal.print("\(id) \(back.bundle.version) is the current version again.") }
      return .success
    }
  }

  private static let remove = Command(
    words: ["plugin", "remove"],
    summary: "Remove a plugin; its connections stay, and their deliveries wait until it is installed again",
    operands: [plugin]
  ) { invocation in
    try await PluginCommands.withRegistry(invocation) { registry in
      let name = invocation.operand(0)
      let id = try await registry.current().bundle(of: name)?.id ?? name
      let generation = try await registry.remove(id, by: actor(invocation))
      invocation.show(["removed": .string(id), "generation": .int(generation)]) {
        invocation.terminal.print("\(id) is removed.")
      }
      return .success
    }
  }

  // MARK: Parts

  private static func bring(
    _ invocation: Invocation,
    _ check: @escaping @Sendable (SignedManifest) async throws -> Void
  ) async throws -> ExitCode {
    try await PluginCommands.withRegistry(invocation) { try await bring(invocation, $0, check) }
  }

  private static func bring(
    _ invocation: Invocation,
    _ registry: PluginRegistry,
    _ check: @escaping @Sendable (SignedManifest) async throws -> Void
  ) async throws -> ExitCode {
    let installer = try PluginInstaller(try invocation.configuration(), registry: registry)
    let outcome = try await installer.install(
      invocation.operand(0),
      actor: actor(invocation),
      approves: invocation.flag("yes"),
      check: check
    )
    return show(outcome, invocation)
  }

  private static func show(_ outcome: InstallOutcome, _ invocation: Invocation) -> ExitCode {
    let terminal = invocation.terminal
    switch outcome {
    case .unchanged(let bundle):
      invocation.show(["outcome": "unchanged", "plugin": PluginCommands.json(bundle)]) {
        terminal.print("\(bundle.id) \(bundle.version) is the current version already.")
      }
      return .success
    case .installed(let bundle, let previous, let generation):
      invocation.show([
        "outcome": "installed", "plugin": PluginCommands.json(bundle), "generation": .int(generation),
        "previous": previous.map { .string("\($0)") } ?? .null,
      ]) {
        let before = previous.map { ", before it \($0)" } ?? ""
        terminal.print("\(bundle.id) \(bundle.version) is the current version\(before).")
      }
      return .success
    case .waiting(let bundle, let approval):
      let lines = approval.lines(publisher: bundle.manifest.publisher)
      invocation.show([
        "outcome": "waiting", "plugin": PluginCommands.json(bundle),
        "asks": .array(approval.grants.map { .string($0.words) }),
        "formerPublisher": approval.formerPublisher.map { .string($0) } ?? .null,
      ]) {
        terminal.print(terminal.styled("\(bundle.id) \(bundle.version) waits for approval.", .yellow))
        for line in lines { terminal.print(line) }
        terminal.print("Approve it with `rostrum plugin approve \(bundle.id)`.")
      }
      return .waits
    }
  }

  /// Who changes something, for the record.
  private static func actor(_ invocation: Invocation) -> String {
    let name = invocation.environment["SUDO_USER"] ?? invocation.environment["USER"] ?? "user \(getuid())"
    return "\(name.prefix(60)) on the command line"
  }
}
