internal import Audit
internal import Glibc
internal import JSONDocument
internal import PluginManifest
internal import Postgres

extension PluginRegistry {
  /// Where a bundle comes from and who brings it.
  package struct Origin: Sendable {
    /// File, folder or address, for people.
    package let source: String
    package let isFirstParty: Bool
    /// Who asks for the change, for people.
    package let actor: String
    /// Whether the one who asks also approves what the bundle asks for.
    package let approves: Bool
    /// Whether a known version may come with other content: for bundles that this host packs itself.
    package let replacesVersions: Bool

    package init(
      source: String,
      isFirstParty: Bool = false,
      actor: String,
      approves: Bool,
      replacesVersions: Bool = false
    ) {
      self.source = source
      self.isFirstParty = isFirstParty
      self.actor = actor
      self.approves = approves
      self.replacesVersions = replacesVersions
    }
  }

  /// Checks a bundle's file, stores it, and makes it the current version, or lets it wait for approval.
  ///
  /// - Throws: ``StoreError`` when it must not be installed; nothing is changed then.
  package func install(_ file: String, _ origin: Origin) async throws -> InstallOutcome {
    let manifest = try await Disk.run { try Bundle.verify(file) }
    guard manifest.artifact() != nil else {
      let machines = manifest.manifest.artifacts.map { "\($0.os)-\($0.arch)" }.joined(separator: ", ")
      throw StoreError(
        .platform,
        "\(manifest.manifest.id) \(manifest.manifest.version) has no program for this machine (\(Machine.current)), "
          + "only for \(machines)"
      )
    }
    try ProtocolCheck.check(manifest.manifest)
    try await InstallStep.bundleVerified.reached()
    let result = try await pool.transaction { tx in
      let number = try await Self.lock(tx)
      let pins = try await Self.pins(number, tx)
      // Another host of the same build has brought the same content under its own key.
      if origin.isFirstParty, let pin = pins[manifest.manifest.id], pin.manifest.content == manifest.content {
        return InstallOutcome.unchanged(try await Self.bundle(pin.digest, tx))
      }
      try await Self.check(manifest, pins, origin, tx)
      try await Self.store(manifest, file, origin, tx)
      try await InstallStep.bundleStored.reached()
      let result = try await Self.decide(manifest, number, pins, origin, tx)
      switch result {
      case .unchanged: break
      case .installed: try await record(.pluginInstall, manifest.manifest.id, tx)
      case .waiting: try await record(.pluginOffer, manifest.manifest.id, tx)
      }
      return result
    }
    if case .installed = result { try await InstallStep.generationCurrent.reached() }
    return result
  }

  /// Approves the version of a plugin that waits, and makes it the current one.
  ///
  /// - Parameter digest: What the person saw; another version that came meanwhile is not approved.
  package func approve(_ plugin: String, digest: String?, by actor: String) async throws -> InstallOutcome {
    try await pool.transaction { tx in
      let number = try await Self.lock(tx)
      let pins = try await Self.pins(number, tx)
      let rows = try await tx.query(
        "\(fragment: Self.select) JOIN plugins w ON w.waiting = b.digest WHERE w.id = \(plugin)"
      )
      guard let bundle = try rows.first.map(Self.bundle) else {
        throw StoreError(.notFound, "No version of \(plugin) waits for approval; see `rostrum plugin list`")
      }
      guard digest == nil || digest == bundle.digest else {
        throw StoreError(.conflict, "Another version of \(plugin) waits now: \(bundle.version), \(bundle.digest)")
      }
      try await record(.pluginInstall, plugin, tx)
      return try await Self.makeCurrent(bundle.manifest, number, pins, actor: actor, approves: true, tx)
    }
  }

  /// Throws away the version of a plugin that waits.
  package func refuse(_ plugin: String, by actor: String) async throws {
    try await pool.transaction { tx in
      _ = try await Self.lock(tx)
      let rows = try await tx.query(
        "\(fragment: Self.select) JOIN plugins w ON w.waiting = b.digest WHERE w.id = \(plugin)"
      )
      guard let bundle = try rows.first.map(Self.bundle) else {
        throw StoreError(.notFound, "No version of \(plugin) waits for approval; see `rostrum plugin list`")
      }
      try await tx.execute("UPDATE plugins SET waiting = NULL WHERE id = \(plugin)")
      try await record(.pluginRefuse, plugin, tx)
      try await tx.execute(
        Self.event(
          "refused",
          plugin: plugin,
          version: "\(bundle.version)",
          message: "\(actor) refused version \(bundle.version)",
          by: actor
        )
      )
    }
  }

  /// Goes back to an earlier version, which needs no network: its bundle is in the database.
  ///
  /// - Parameters:
  ///   - version: The version to run; nil for the one before the current one.
  ///   - onlyFrom: The digest that must be the current one, so that two hosts that see the same trouble go back once.
  package func rollBack(
    _ plugin: String,
    to version: String? = nil,
    onlyFrom: String? = nil,
    reason: String,
    by actor: String
  ) async throws -> (bundle: StoredBundle, generation: Int64)? {
    try await pool.transaction { tx in
      let number = try await Self.lock(tx)
      let pins = try await Self.pins(number, tx)
      guard let current = pins[plugin] else {
        throw StoreError(.notFound, "No plugin \(plugin) is installed; see `rostrum plugin list`")
      }
      if let onlyFrom, onlyFrom != current.digest { return nil }
      let rows = try await tx.query(
        """
        \(fragment: Self.select) WHERE b.plugin = \(plugin) AND b.approved_by IS NOT NULL AND b.digest <> \(current.digest)
          AND (\(version)::text IS NULL OR b.version = \(version))
        ORDER BY (SELECT max(generation) FROM plugin_pins p WHERE p.digest = b.digest) DESC NULLS LAST, b.created_at DESC
        LIMIT 1
        """
      )
      guard let target = try rows.first.map(Self.bundle) else {
        let wanted = version.map { "version \($0)" } ?? "earlier version"
        throw StoreError(
          .notFound,
          "There is no \(wanted) of \(plugin) to go back to; see `rostrum plugin why \(plugin)`"
        )
      }
      var next = pins.mapValues(\.digest)
      next[plugin] = target.digest
      let message = "Went back from version \(current.version) to \(target.version): \(reason)"
      let generation = try await Self.write(next, after: number, reason: "\(plugin): \(message)", actor: actor, tx)
      try await tx.execute(
        Self.event("rolledBack", plugin: plugin, version: "\(target.version)", message: message, by: actor)
      )
      try await record(.pluginRollback, plugin, tx)
      return (target, generation)
    }
  }

  /// Takes a plugin out of the current set. Its versions stay until they are collected.
  package func remove(_ plugin: String, by actor: String) async throws -> Int64 {
    try await pool.transaction { tx in
      // Taken back where there is nothing to remove.
      try await record(.pluginRemove, plugin, tx)
      let number = try await Self.lock(tx)
      let pins = try await Self.pins(number, tx)
      guard let current = pins[plugin] else {
        let waiting = try await tx.execute("DELETE FROM plugins WHERE id = \(plugin) AND waiting IS NOT NULL")
        guard waiting > 0 else {
          throw StoreError(.notFound, "No plugin \(plugin) is installed; see `rostrum plugin list`")
        }
        return number
      }
      var next = pins.mapValues(\.digest)
      next[plugin] = nil
      let message = "\(actor) removed version \(current.version)"
      let generation = try await Self.write(next, after: number, reason: "\(plugin): \(message)", actor: actor, tx)
      try await tx.execute("UPDATE plugins SET removed_at = now(), waiting = NULL WHERE id = \(plugin)")
      try await tx.execute(
        Self.event("removed", plugin: plugin, version: "\(current.version)", message: message, by: actor)
      )
      return generation
    }
  }

  // MARK: Parts of a change

  private func record(_ action: AuditAction, _ plugin: String, _ tx: Transaction) async throws {
    try await tx.execute(audit(action, "plugin:\(plugin)").insertion)
  }

  /// What runs of one plugin.
  private struct Pin {
    let digest: String
    let version: SemanticVersion
    let manifest: SignedManifest
    let isFirstParty: Bool
  }

  /// Locks the set of versions against other changes; answers with the number of the current generation.
  static func lock(_ tx: Transaction) async throws -> Int64 {
    let rows = try await tx.query("SELECT generation FROM plugin_state FOR UPDATE")
    guard let row = rows.first else { throw StoreError(.io, "The database has lost the row of plugin_state") }
    return try row.get(0)
  }

  private static func pins(_ number: Int64, _ tx: Transaction) async throws -> [String: Pin] {
    let rows = try await tx.query(
      "\(fragment: select) JOIN plugin_pins p ON p.digest = b.digest WHERE p.generation = \(number)"
    )
    return try rows.reduce(into: [:]) { pins, row in
      let bundle = try bundle(row)
      pins[bundle.id] = Pin(
        digest: bundle.digest,
        version: bundle.version,
        manifest: bundle.manifest,
        isFirstParty: bundle.isFirstParty
      )
    }
  }

  /// Refuses what must not be installed over what is there.
  private static func check(
    _ new: SignedManifest,
    _ pins: [String: Pin],
    _ origin: Origin,
    _ tx: Transaction
  ) async throws {
    let (manifest, id) = (new.manifest, new.manifest.id)
    let names = Set([id] + manifest.aliases)
    for (other, pin) in pins where other != id {
      let taken = names.intersection([other] + pin.manifest.manifest.aliases)
      if let name = taken.min() {
        throw StoreError(
          .conflict,
          "The name \(name) of \(id) \(manifest.version) belongs to the installed plugin \(other); remove that one first"
        )
      }
    }
    if !origin.replacesVersions {
      let rows = try await tx.query(
        """
        SELECT digest FROM plugin_bundles WHERE plugin = \(id) AND version = \("\(manifest.version)")
          AND publisher = \(new.publisher) AND digest <> \(new.digest)
        """
      )
      if let known = try rows.first?.get(0, as: String.self) {
        throw StoreError(
          .conflict,
          "\(id) \(manifest.version) by this publisher is known with other content (\(known)); a version never changes, "
            + "so its author has to give it a new number"
        )
      }
    }
    if let current = pins[id], manifest.version < current.version, current.digest != new.digest {
      throw StoreError(
        .conflict,
        "\(id) \(manifest.version) is older than the installed \(current.version); "
          + "to go back use `rostrum plugin rollback \(id) --to \(manifest.version)`, or remove the plugin first"
      )
    }
  }

  /// Writes the bundle's rows, unless they are there.
  private static func store(_ new: SignedManifest, _ file: String, _ origin: Origin, _ tx: Transaction) async throws {
    let opened = unsafe open(file, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { throw StoreError(.io, "The bundle \(file) can not be read: \(reason(errno))") }
    defer { close(opened) }
    let bytes = try FileDigests.size(of: opened, named: file)
    let inserted = try await tx.execute(
      """
      INSERT INTO plugin_bundles (digest, plugin, version, publisher, content, manifest, signature, bytes, source,
        is_first_party)
      VALUES (\(new.digest), \(new.manifest.id), \("\(new.manifest.version)"), \(new.publisher), \(new.content),
        \(new.bytes), \(new.signature), \(bytes), \(origin.source), \(origin.isFirstParty))
      ON CONFLICT (digest) DO NOTHING
      """
    )
    guard inserted > 0 else { return }
    var part: Int32 = 0
    var offset: Int64 = 0
    while offset < bytes {
      let start = offset
      let content = try await Disk.run { try FileDigests.read(opened, at: start, count: partBytes, named: file) }
      guard !content.isEmpty else { throw StoreError(.io, "The bundle \(file) became shorter while it was read") }
      try await tx.execute(
        "INSERT INTO plugin_bundle_parts (digest, part, content) VALUES (\(new.digest), \(part), \(content))"
      )
      offset += Int64(content.count)
      part += 1
    }
  }

  private static func decide(
    _ new: SignedManifest,
    _ number: Int64,
    _ pins: [String: Pin],
    _ origin: Origin,
    _ tx: Transaction
  ) async throws -> InstallOutcome {
    let id = new.manifest.id
    if pins[id]?.digest == new.digest {
      return .unchanged(try await bundle(new.digest, tx))
    }
    let approval = Approval.needed(for: new, after: pins[id]?.manifest)
    if let approval, !origin.approves {
      try await tx.execute(
        """
        INSERT INTO plugins (id, waiting) VALUES (\(id), \(new.digest))
        ON CONFLICT (id) DO UPDATE SET waiting = excluded.waiting
        """
      )
      try await tx.execute(
        event(
          "waiting",
          plugin: id,
          version: "\(new.manifest.version)",
          message: "Version \(new.manifest.version) from \(origin.source) waits for approval",
          details: JSONValue.object(["asks": .array(approval.grants.map { .string($0.words) })]).text(),
          by: origin.actor
        )
      )
      return .waiting(try await bundle(new.digest, tx), approval)
    }
    return try await makeCurrent(new, number, pins, actor: origin.actor, approves: true, tx)
  }

  private static func makeCurrent(
    _ new: SignedManifest,
    _ number: Int64,
    _ pins: [String: Pin],
    actor: String,
    approves: Bool,
    _ tx: Transaction
  ) async throws -> InstallOutcome {
    let (id, version) = (new.manifest.id, new.manifest.version)
    try await tx.execute(
      """
      UPDATE plugin_bundles SET approved_by = coalesce(approved_by, \(actor)), approved_at = coalesce(approved_at, now())
      WHERE digest = \(new.digest)
      """
    )
    try await tx.execute(
      """
      INSERT INTO plugins (id) VALUES (\(id))
      ON CONFLICT (id) DO UPDATE SET waiting = NULL, removed_at = NULL
      """
    )
    var next = pins.mapValues(\.digest)
    next[id] = new.digest
    let old = pins[id]?.version
    let message = old.map { "Upgraded from version \($0) to \(version)" } ?? "Installed version \(version)"
    let generation = try await write(next, after: number, reason: "\(id): \(message)", actor: actor, tx)
    try await tx.execute(
      event(old == nil ? "installed" : "upgraded", plugin: id, version: "\(version)", message: message, by: actor)
    )
    return .installed(try await bundle(new.digest, tx), previous: old, generation: generation)
  }

  /// Writes a new generation and makes it the current one; hosts hear of it when the transaction commits.
  private static func write(
    _ pins: [String: String],
    after number: Int64,
    reason: String,
    actor: String,
    _ tx: Transaction
  ) async throws -> Int64 {
    let next = number + 1
    try await tx.execute(
      "INSERT INTO plugin_generations (number, reason, made_by) VALUES (\(next), \(reason), \(actor))"
    )
    for (plugin, digest) in pins.sorted(by: { $0.key < $1.key }) {
      try await tx.execute(
        "INSERT INTO plugin_pins (generation, plugin, digest) VALUES (\(next), \(plugin), \(digest))"
      )
    }
    try await InstallStep.generationWritten.reached()
    try await tx.execute("UPDATE plugin_state SET generation = \(next)")
    try await tx.execute("SELECT pg_notify(\(channel), \(String(next)))")
    return next
  }

  private static func bundle(_ digest: String, _ tx: Transaction) async throws -> StoredBundle {
    let rows = try await tx.query("\(fragment: select) WHERE b.digest = \(digest)")
    guard let row = rows.first else { throw StoreError(.notFound, "The bundle \(digest) is not in the database") }
    return try bundle(row)
  }
}
