import Audit
import JSONDocument
import Postgres
import Publishing
import Server
import ServiceTree
import Vault

/// `rostrum vault …`
enum VaultCommands {
  static let all = [status, rotate, revoke, destroy]

  private static let pause: Duration = .milliseconds(500)

  private static let status = Command(
    words: ["vault", "status"],
    summary: "Show the keys that seal credentials, changes of keys, what did not open, and revocations"
  ) { invocation in
    let (keys, revocations) = try await withVault(invocation) { try await $0.status() }
    var members = keys.json.objectValue ?? [:]
    members["revocations"] = .array(revocations.map(\.json))
    invocation.show(.object(members)) {
      let terminal = invocation.terminal
      terminal.table(
        ["host key", "status", "since", "days", "data keys"],
        keys.hostKeys.map { key in
          let status = key.isCompromised ? "\(key.status) (known to others)" : key.status
          return [
            "\(key.number)", status, RFC3339.format(key.activatedAt ?? key.createdAt), "\(key.ageDays)",
            "\(key.dataKeys)",
          ]
        }
      )
      let counts = VaultStatus.statuses.compactMap { status in keys.dataKeys[status].map { "\($0) \(status)" } }
      terminal.print("Data keys: " + (counts.isEmpty ? "none yet" : counts.joined(separator: ", ")))
      for key in keys.hostKeys where key.isOld {
        terminal.print("Host key \(key.number) seals for more than \(KeyRotations.longestUseDays) days; change it.")
      }
      if keys.oldDataKeys > 0 {
        terminal.print("\(keys.oldDataKeys) keys of sites seal for more than \(KeyRotations.longestUseDays) days.")
      }
      for rotation in keys.rotations { terminal.print(line(rotation)) }
      for row in keys.quarantine {
        terminal.print("Does not open: \(row.place) of \(row.row), sealed with key \(row.key)")
      }
      for revocation in revocations { terminal.print(line(revocation)) }
    }
    return .success
  }

  private static let rotate = Command(
    words: ["vault", "rotate"],
    summary: "Change the key of a site or of the hosts, and seal everything anew; hosts go on meanwhile",
    options: [
      .value("site", "ID", "the data key of this site"),
      .flag("host-key", "the key in OAUTH_ENCRYPTION_KEY: the newest one that waits becomes the one in use"),
      .value("key", "ID", "with --host-key: this key of the setting"),
      .flag("compromised", "others may know the old key: every account must get new credentials"),
    ]
  ) { invocation in
    let site = try number(invocation, "site")
    let key = try number(invocation, "key")
    guard (site == nil) == invocation.flag("host-key"), site == nil || key == nil else {
      throw CommandError(.usage, "Give either --site ID or --host-key")
    }
    let request = KeyRotations.Request(
      isCompromised: invocation.flag("compromised"),
      also: [audit(.vaultRotate, site.map { "site:\($0)" } ?? "host", site: site)]
    )
    let rotation = try await withVault(invocation) { vault in
      let begun =
        if let site { try await vault.rotations.rotate(site: site, request) } else {
          try await vault.rotations.rotateHostKey(to: key, request)
        }
      while try await vault.rotations.rotation(begun.id).endedAt == nil {
        try await vault.resealer.round(until: { Shutdown.current.isRequested })
        guard await Shutdown.current.sleep(for: pause) else { break }
      }
      return try await vault.rotations.rotation(begun.id)
    }
    invocation.show(rotation.json) {
      invocation.terminal.print(line(rotation))
      if rotation.isCompromised {
        invocation.terminal.print("Every account that is meant must be connected again; the sites' notices tell it.")
      }
      if site == nil, rotation.endedAt != nil {
        invocation.terminal.print(
          "Keep key \(rotation.oldKey) in the setting as long as you keep back-ups from before; then: "
            + "rostrum vault destroy \(rotation.oldKey)"
        )
      }
      if rotation.quarantined > 0 { invocation.terminal.print("What did not open: rostrum vault status") }
    }
    return rotation.endedAt == nil || rotation.quarantined > 0 ? .failure : .success
  }

  private static let revoke = Command(
    words: ["vault", "revoke"],
    summary: "Emergency: take credentials out of use at once, on every host; the way back is to connect again",
    options: [
      .value("connection", "ID", "of this account"), .value("site", "ID", "of all accounts of this site"),
      .value("platform", "NAME", "of all accounts on this platform"), .flag("all", "of every account"),
      .value("reason", "TEXT", "shown to the people of each account", required: true),
    ]
  ) { invocation in
    var scopes: [Revocation.Scope] = []
    if let id = try number(invocation, "connection") { scopes.append(.connection(id)) }
    if let id = try number(invocation, "site") { scopes.append(.site(id)) }
    if let platform = invocation.option("platform") { scopes.append(.platform(platform)) }
    if invocation.flag("all") { scopes.append(.all) }
    guard let scope = scopes.first, scopes.count == 1 else {
      throw CommandError(.usage, "Give one of --connection ID, --site ID, --platform NAME and --all")
    }
    let reason = invocation.option("reason") ?? ""
    guard (1...500).contains(reason.count) else {
      throw CommandError(.usage, "--reason has \(reason.count) characters; allowed are 1 to 500")
    }
    let revocation = try await invocation.withPool { pool in
      // Needs no key: what is known to others must stop even where the key is lost.
      let revocations = Revocations(pool: pool)
      let site: Int64? = if case .site(let id) = scope { id } else { nil }
      let subject = scope.subject.isEmpty ? scope.kind : "\(scope.kind):\(scope.subject)"
      let begun = try await revocations.begin(scope, reason: reason, also: [audit(.vaultRevoke, subject, site: site)])
      while try await revocations.round(until: { Shutdown.current.isRequested }) > 0 {
        guard await Shutdown.current.sleep(for: pause) else { break }
      }
      return try await revocations.revocation(begun.id)
    }
    invocation.show(revocation.json) {
      invocation.terminal.print(line(revocation))
      if revocation.asked > 0 {
        invocation.terminal.print(
          "A running host asks the platforms of \(revocation.asked) accounts to end the credentials too."
        )
      }
      if revocation.unsupported > 0 {
        invocation.terminal.print("Revoke them at their platforms too, where the host has no way to do it.")
      }
    }
    return .success
  }

  private static let destroy = Command(
    words: ["vault", "destroy"],
    summary: "End a disabled key of the hosts for good; then it may leave OAUTH_ENCRYPTION_KEY",
    operands: [.init(name: "KEY", about: "the key's number in the setting")]
  ) { invocation in
    let key = try invocation.id(invocation.operand(0), "KEY")
    try await withVault(invocation) {
      try await $0.rotations.destroy(hostKey: key, also: [audit(.vaultDestroy, "key:\(key)")])
    }
    invocation.show(["key": .int(key), "status": "destroyed"]) {
      invocation.terminal.print("Key \(key) is no longer needed; take it out of OAUTH_ENCRYPTION_KEY.")
    }
    return .success
  }

  // MARK: Words

  private static func line(_ rotation: KeyRotation) -> String {
    let what = rotation.site.map { "Site \($0)" } ?? "Hosts"
    let end = rotation.endedAt.map { "done at \(RFC3339.format($0))" } ?? "on its way"
    let broken = rotation.quarantined > 0 ? ", \(rotation.quarantined) did not open" : ""
    return
      "\(what): key \(rotation.oldKey) to \(rotation.newKey), \(rotation.resealed) values sealed anew\(broken); \(end)"
  }

  private static func line(_ revocation: Revocation) -> String {
    let subject = revocation.scope.subject.isEmpty ? "" : " \(revocation.scope.subject)"
    let end = revocation.endedAt.map { "done at \(RFC3339.format($0))" } ?? "on its way"
    return "Revoked \(revocation.scope.kind)\(subject) at \(RFC3339.format(revocation.createdAt)) "
      + "(\(revocation.reason)): \(revocation.connections) accounts; \(end)"
  }

  private static func audit(_ action: AuditAction, _ subject: String, site: Int64? = nil) -> SQL {
    AuditEntry.byCommandLine(action, subject, site: site).insertion
  }

  private static func number(_ invocation: Invocation, _ name: String) throws(CommandError) -> Int64? {
    guard let text = invocation.option(name) else { return nil }
    return try invocation.id(text, "--\(name)")
  }

  private static func withVault<Value>(
    _ invocation: Invocation,
    _ body: (HostVault) async throws -> Value
  ) async throws -> Value {
    let configuration = try invocation.configuration()
    return try await invocation.withPool { pool in
      try await body(try await HostVault.open(configuration, pool: pool, logger: invocation.quietLogger))
    }
  }
}
