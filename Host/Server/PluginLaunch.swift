package import Jail
package import PluginHost
internal import PluginManifest
package import PluginStore
package import Processes

/// Starts plugins in the jail: checks the bytes, then hands exactly these to the launcher.
package enum PluginLaunch {
  /// What a plugin's process gets as its environment, and nothing else.
  package static func environment(directory: String) -> [String: String] {
    ["LANG": "C.UTF-8", "TZ": "UTC", "SWIFT_ROOT": directory]
  }

  /// Makes the closure that starts a plugin. It blocks, because it may read the plugin's files.
  ///
  /// - Parameter allowsUnjailed: Whether plugins of others may run where the jail does not hold them.
  package static func launch(
    _ plugin: StoredPlugin,
    _ jail: Jail,
    allowsUnjailed: Bool
  ) -> @Sendable () throws -> SpawnRequest {
    {
      if let reason = refusal(of: plugin, jail, allowsUnjailed: allowsUnjailed) { throw LaunchRefused(reason) }
      let image: OwnedDescriptor
      do {
        image = try plugin.openVerified()
      } catch {
        throw LaunchRefused("\(error)")
      }
      do throws(JailError) {
        return try jail.request(for: program(plugin, image: image))
      } catch {
        switch error {
        case .notExecutable, .pathRefused: throw LaunchRefused("\(error)")
        case .unavailable, .unreadable: throw error
        }
      }
    }
  }

  /// Why a plugin must not be started here; nil when it may.
  package static func refusal(of plugin: StoredPlugin, _ jail: Jail, allowsUnjailed: Bool) -> String? {
    guard !plugin.isFirstParty, !jail.tier.holdsStrangers, !allowsUnjailed else { return nil }
    return """
      \(plugin.manifest.id) is not from this host's own publisher, and this machine offers only tier \(jail.tier) of the \
      jail (\(jail.report.summary)). Use a kernel with Landlock and seccomp, or set ROSTRUM_ALLOW_UNJAILED=1 if you trust \
      it with everything that this host may read
      """
  }

  private static func program(_ plugin: StoredPlugin, image: OwnedDescriptor) -> JailedProgram {
    let runtime = plugin.manifest.runtime
    let path = "\(plugin.directory)/\(plugin.entry)"
    return JailedProgram(
      plugin: plugin.manifest.id,
      image: image,
      name: path,
      directory: plugin.directory,
      interpreter: runtime.map { JailedProgram.Interpreter(path: $0.interpreter, script: path) },
      readPaths: runtime?.readPaths ?? [],
      environment: environment(directory: plugin.directory),
      limits: limits(plugin)
    )
  }

  static func limits(_ plugin: StoredPlugin) -> JailLimits {
    let limits = plugin.manifest.limits
    return JailLimits(
      memoryMiB: limits.memoryMiB,
      cpu: limits.cpu,
      threads: limits.pids,
      descriptors: limits.fds
    )
  }
}

extension InstalledPlugin {
  /// A plugin that runs in the jail and is watched.
  package init(_ plugin: StoredPlugin, jail: Jail, allowsUnjailed: Bool) {
    let limits = PluginLaunch.limits(plugin)
    self.init(
      manifest: plugin.manifest,
      digest: plugin.digest,
      executable: "\(plugin.directory)/\(plugin.entry)",
      tier: "\(jail.tier)",
      idleStop: plugin.manifest.limits.idleStop,
      watch: { process, exceeded in
        let watched = jail.watch(process, limits: limits) { exceeded("\($0)") }
        return RunningWatch(noteWork: watched.noteWork, stop: watched.stop)
      },
      launch: PluginLaunch.launch(plugin, jail, allowsUnjailed: allowsUnjailed)
    )
  }
}
