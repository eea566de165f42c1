internal import FoundationEssentials
internal import JSONText
internal import Jail
package import Logging
internal import MediaStore
internal import Migrations
internal import PluginHost
internal import PluginManifest
internal import PluginProtocol
internal import PluginStore
internal import Postgres
internal import Processes
internal import Publishing
internal import ServiceTree
internal import Vault

/// Looks at everything that a host needs and says what is missing and what to do.
package struct Doctor: Sendable {
  package enum Level: String, Sendable {
    case ok
    case warn
    case fail
  }

  /// What one look found.
  package struct Finding: Sendable, Equatable {
    package let level: Level
    /// What was looked at, in a word or two.
    package let subject: String
    package let text: String
    /// What to do; nil when nothing needs to be done.
    package let advice: String?
  }

  private let configuration: HostConfiguration
  private let logger: Logger

  package init(_ configuration: HostConfiguration, logger: Logger) {
    self.configuration = configuration
    self.logger = logger
  }

  /// Makes all checks, in the order in which a host needs their subjects.
  package func examine() async -> [Finding] {
    var findings = configuration.warnings.map { warn("settings", $0, "Remove it, or correct it") }
    findings.append(ok("home", configuration.home))
    if configuration.database == nil { findings.append(await programs()) }
    findings += await database()
    findings.append(media())
    findings += await plugins()
    findings.append(egress())
    return findings
  }

  // MARK: Database

  private func programs() async -> Finding {
    do {
      let binaries = try await PostgresBinaries.find(in: configuration.postgresBinaries, spawner: try Spawner())
      return ok("postgresql", "version \(binaries.majorVersion) in \(binaries.directory)")
    } catch {
      return fail(
        "postgresql",
        "\(error)",
        "Install postgresql (15 or newer), or set ROSTRUM_POSTGRES_BIN or DATABASE_URL"
      )
    }
  }

  private func database() async -> [Finding] {
    do {
      return try await HostDatabase.using(configuration, logger: logger) { database in
        let pool = Pool(database.pooled, size: 1, patience: .seconds(5), logger: logger)
        var findings = [try await server(pool)]
        findings += try await durability(pool)
        let schema = try await schema(database)
        findings.append(schema)
        if schema.level == .ok {
          findings.append(await key(pool))
          findings += try await oldKeys(pool)
          if let hold = try await HoldStore(pool: pool).current() {
            findings.append(warn("hold", "Nothing is sent. \(hold.reason)", Hold.advice))
          }
        }
        await pool.close()
        return findings
      }
    } catch {
      return [fail("database", "\(error)", "Check DATABASE_URL, or the log of the private database in the home")]
    }
  }

  private func server(_ pool: Pool) async throws -> Finding {
    let rows = try await pool.query(
      "SELECT current_setting('server_version'), current_setting('server_version_num')::int4 >= 150000"
    )
    let version = try rows.first?.get(0, as: String.self) ?? "?"
    let isNewEnough = try rows.first?.get(1, as: Bool.self) ?? false
    let text = "\(pool.configuration), version \(version)"
    return isNewEnough ? ok("database", text) : fail("database", text, "Use PostgreSQL 15 or newer")
  }

  private func durability(_ pool: Pool) async throws -> [Finding] {
    let rows = try await pool.query(
      """
      SELECT current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on',
        current_setting('synchronous_commit') <> 'off',
        (SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'async')
      """
    )
    guard let row = rows.first else { return [] }
    var findings: [Finding] = []
    if try !row.get(0, as: Bool.self) {
      findings.append(fail("fsync", "off: a power failure can publish posts twice", "Set fsync = on"))
    } else if try !row.get(1, as: Bool.self) {
      findings.append(warn("fsync", "on, but full_page_writes is off", "Set full_page_writes = on"))
    } else if try !row.get(2, as: Bool.self) {
      findings.append(
        warn("fsync", "on, but synchronous_commit is off", "Set synchronous_commit = on for this database")
      )
    } else {
      findings.append(ok("fsync", "on"))
    }
    let standbys = try row.get(3, as: Int64.self)
    if standbys > 0 {
      let text = "\(standbys) standby servers copy asynchronously: after a failover the newest posts may be unknown"
      findings.append(warn("replication", text, "Use synchronous replication, see synchronous_standby_names"))
    }
    return findings
  }

  private func schema(_ database: HostDatabase) async throws -> Finding {
    let status = try await database.migrationStatus(configuration.migrations, logger: logger)
    if let changed = status.first(where: \.isChanged) {
      return fail("migrations", "\(changed.file) was changed after it was applied", "Restore the file")
    }
    if let missing = status.first(where: \.isMissing) {
      return fail("migrations", "\(missing.file) is unknown to this version", "Use a newer version of Rostrum")
    }
    let pending = status.filter { $0.appliedAt == nil }.count
    guard pending == 0 else {
      return warn("migrations", "\(pending) of \(status.count) are pending", "Run `rostrum migrate`, or start the host")
    }
    return ok("migrations", "\(status.count) applied")
  }

  private func key(_ pool: Pool) async -> Finding {
    let place = configuration.encryptionKey == nil ? configuration.keyFile : "OAUTH_ENCRYPTION_KEY"
    do {
      let keyring: Keyring
      if let secret = configuration.encryptionKey {
        keyring = try Keyring(secret)
      } else if let found = try VaultKey.read(configuration.keyFile) {
        keyring = found
      } else if try await VaultKey.hasKeys(pool) {
        return fail("key", "credentials are sealed, but \(place) is missing", "Put the key back from your backup")
      } else {
        return ok("key", "none yet; the first start makes \(place)")
      }
      guard try await VaultKey.hasKeys(pool) else { return ok("key", "\(place), not used yet") }
      _ = try await Vault(pool: pool, keyring: keyring)
      return ok("key", "\(place) fits the database")
    } catch {
      return fail("key", "\(error)", "Put the right key back")
    }
  }

  private func oldKeys(_ pool: Pool) async throws -> [Finding] {
    let days = KeyRotations.longestUseDays
    let rows = try await pool.query(
      """
      SELECT purpose, count(*) FROM vault_keys
      WHERE purpose IN ('kek', 'dek') AND status = 'primary'
        AND coalesce(activated_at, created_at) < now() - \(Int64(days)) * interval '1 day'
      GROUP BY purpose ORDER BY purpose
      """
    )
    return try rows.map { row in
      try row.get(0, as: String.self) == "kek"
        ? warn("key", "the key of the hosts seals for more than \(days) days", "rostrum vault rotate --host-key")
        : warn(
          "key",
          "\(try row.get(1, as: Int64.self)) keys of sites seal for more than \(days) days",
          "rostrum vault rotate --site ID"
        )
    }
  }

  // MARK: Files, plugins, addresses

  private func media() -> Finding {
    do {
      // Opens a file and removes it again.
      _ = try MediaFiles(root: configuration.media).upload(maximumBytes: 1)
      return ok("media", "\(configuration.media) can be written")
    } catch {
      return fail("media", "\(configuration.media): \(error)", "Make the folder writable, or set ROSTRUM_MEDIA")
    }
  }

  /// What the jail holds back on this machine, found out by trying.
  private func jail(_ jail: Jail) -> Finding {
    let report = jail.report
    let advice = "Start plugins of publishers that you trust only; see docs/guides/jail.md"
    if report.failure != nil { return fail("jail", report.summary, "Install rostrum-jail beside the rostrum program") }
    let bound = configuration.bestTier == .a ? "" : "; ROSTRUM_JAIL_TIER allows none above \(configuration.bestTier)"
    if jail.tier.holdsStrangers { return ok("jail", report.summary + bound) }
    let flag = configuration.allowsUnjailed ? "; ROSTRUM_ALLOW_UNJAILED lets any plugin run" : ""
    return warn("jail", report.summary + bound + flag, advice)
  }

  private func plugins() async -> [Finding] {
    do {
      let spawner = try Spawner()
      let jail = await Jail.probe(
        launcher: configuration.launcher,
        spawner: spawner,
        logger: logger,
        best: configuration.bestTier
      )
      let sources = try PluginSources(configuration)
      var findings = sources.problems.map { fail("plugin", "\($0)", "Correct the manifest, or remove it") }
      if sources.manifests.isEmpty {
        findings.append(warn("plugin", "none in \(configuration.manifests)", "Set ROSTRUM_MANIFESTS"))
      }
      findings.insert(self.jail(jail), at: 0)
      findings.insert(ok("limits", jail.report.limitingText), at: 1)
      let plugins = try await installed(sources, jail)
      let host = PluginHost(plugins: plugins, spawner: spawner, logger: logger, hostVersion: Host.version)
      let shutdown = Shutdown()
      return await withTaskGroup(of: Void.self) { group in
        group.addTask {
          await Shutdown.$current.withValue(shutdown) {
            await orLog("Ending the plugins", logger) { try await host.run() }
          }
        }
        for plugin in plugins {
          findings.append(await start(plugin, host))
          if let finding = Self.sunset(of: plugin.manifest, at: Date()) { findings.append(finding) }
        }
        shutdown.request()
        await group.waitForAll()
        return findings
      }
    } catch {
      return [fail("plugin", "\(error)", "Set ROSTRUM_MANIFESTS to the folder of the manifests")]
    }
  }

  /// The installed plugins, and those that the next start of the host installs.
  private func installed(_ sources: PluginSources, _ jail: Jail) async throws -> [InstalledPlugin] {
    let stored: [InstalledPlugin] = try await HostDatabase.using(configuration, logger: logger) { database in
      let status = try await database.migrationStatus(configuration.migrations, logger: logger)
      guard status.allSatisfy({ $0.appliedAt != nil }) else { return [] }
      let pool = Pool(database.pooled, size: 1, patience: .seconds(5), logger: logger)
      do {
        let installer = try PluginInstaller(configuration, registry: PluginRegistry(pool: pool))
        let catalogue = PluginCatalogue(
          registry: installer.registry,
          folder: installer.folder,
          database: database.direct,
          node: configuration.home,
          logger: logger,
          compose: { InstalledPlugin($0, jail: jail, allowsUnjailed: configuration.allowsUnjailed) }
        )
        let plugins = try await catalogue.load()
        await pool.close()
        return plugins
      } catch {
        await pool.close()
        throw error
      }
    }
    let known = Set(stored.map(\.manifest.id))
    return stored
      + sources.manifests.filter { !known.contains($0.id) }
      .map { InstalledPlugin(manifest: $0, executable: sources.program(of: $0)) }
  }

  /// Starts a plugin. A call without parameters does: a plugin that refuses it has started and spoken.
  private func start(_ plugin: InstalledPlugin, _ host: PluginHost) async -> Finding {
    let subject = "plugin \(plugin.manifest.id)"
    let advice = "Check \(plugin.executable), or set ROSTRUM_PLUGINS to the folder of the plugins' programs"
    let methods = plugin.manifest.methods
    guard let method = methods.first(where: { $0.hasSuffix("/validate") }) ?? methods.first else {
      return warn(subject, "declares no method", "Correct its manifest")
    }
    do {
      let call = try await host.begin(method, plugin: plugin.manifest.id, params: .emptyObject, deadline: .seconds(10))
      while true {
        switch await call.next() {
        case .request(let request):
          call.refuse(
            request,
            error: ProtocolError(.capabilityDenied, "The host is only testing whether the plugin starts")
          )
        case .result, .failed(.remote):
          return ok(subject, "version \(plugin.manifest.version) starts and speaks the protocol")
        case .failed(let failure):
          return fail(subject, "\(failure)", advice)
        }
      }
    } catch {
      return fail(subject, "\(error)", advice)
    }
  }

  /// Days before the end of a platform's interface from which on it is told.
  private static let sunsetNotice = 60

  /// The platform's interface that a plugin is written for ends soon, or has ended.
  static func sunset(of manifest: PluginManifest, at now: Date) -> Finding? {
    guard let version = manifest.apiVersion, let day = version.sunset, let left = version.daysLeft(at: now),
      left <= sunsetNotice
    else { return nil }
    let what = "written for version \(version.name) of the platform's interface, which the platform "
    let end =
      switch left {
      case ..<0: "ended on \(day)"
      case 0: "ends within a day, on \(day)"
      default: "ends in \(left) day\(left == 1 ? "" : "s"), on \(day)"
      }
    return Finding(
      level: .warn,
      subject: "plugin \(manifest.id)",
      text: what + end,
      advice: "Upgrade the plugin: `rostrum plugin upgrade` with a release for a newer version"
    )
  }

  private func egress() -> Finding {
    if configuration.egressAllow.isEmpty, configuration.originOverrides.isEmpty {
      return ok("egress", "public https addresses only")
    }
    var text = "also allowed: \(configuration.egressAllow.isEmpty ? "nothing" : configuration.egressAllow)"
    if !configuration.originOverrides.isEmpty { text += "; replaced: \(configuration.originOverrides)" }
    return warn("egress", text, "Keep it only if you know these addresses; see ROSTRUM_EGRESS_ALLOW")
  }

  private func ok(_ subject: String, _ text: String) -> Finding {
    Finding(level: .ok, subject: subject, text: text, advice: nil)
  }

  private func warn(_ subject: String, _ text: String, _ advice: String) -> Finding {
    Finding(level: .warn, subject: subject, text: text, advice: advice)
  }

  private func fail(_ subject: String, _ text: String, _ advice: String) -> Finding {
    Finding(level: .fail, subject: subject, text: text, advice: advice)
  }
}
