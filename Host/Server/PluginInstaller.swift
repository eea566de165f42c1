internal import Egress
internal import Glibc
internal import HTTPClient
package import Logging
internal import PluginManifest
package import PluginStore

/// Brings bundles in: from files, folders, addresses, and from the folders of the host itself.
package struct PluginInstaller: Sendable {
  package let registry: PluginRegistry
  package let folder: StoreFolder
  private let configuration: HostConfiguration

  package init(_ configuration: HostConfiguration, registry: PluginRegistry) throws {
    self.configuration = configuration
    self.registry = registry
    folder = try StoreFolder(configuration.pluginFolder)
  }

  /// Installs what a word names: an address, a folder or manifest to pack here, or a bundle's file.
  ///
  /// - Parameters:
  ///   - what: `https://…`, or a path.
  ///   - approves: Whether the actor agrees to everything that it asks for.
  ///   - check: Looks at the bundle before it is installed, and may refuse it.
  package func install(
    _ what: String,
    actor: String,
    approves: Bool,
    check: @Sendable (SignedManifest) async throws -> Void = { _ in }
  ) async throws -> InstallOutcome {
    if what.hasPrefix("https://") || what.hasPrefix("http://") {
      let file = try folder.receive()
      try await PluginDownload(configuration).run(what, into: file)
      return try await install(file, source: what, actor: actor, approves: approves, check: check)
    }
    let isSource = PluginServerFiles.isFolder(what) || what.hasSuffix(".json")
    let file = try folder.receive()
    if isSource {
      let (folder, configuration) = (folder, configuration)
      let path = file.path
      try await Disk.run {
        let key = try PublisherKey.readOrMake(configuration.pluginKeyFile)
        try BundleSource(what, programs: PluginServerFiles.programs(what, configuration), digests: folder.digests)
          .pack(to: path, key: key)
      }
    }
    let path = isSource ? file.path : what
    let manifest = try await Disk.run { try Bundle.verify(path) }
    try await check(manifest)
    let origin = PluginRegistry.Origin(source: what, actor: actor, approves: approves, replacesVersions: isSource)
    let outcome = try await registry.install(path, origin)
    withExtendedLifetime(file) {}
    return outcome
  }

  /// Installs a bundle whose bytes have come in.
  package func install(
    _ file: IncomingBundle,
    source: String,
    actor: String,
    approves: Bool,
    check: @Sendable (SignedManifest) async throws -> Void = { _ in }
  ) async throws -> InstallOutcome {
    let path = file.path
    let manifest = try await Disk.run { try Bundle.verify(path) }
    try await check(manifest)
    let origin = PluginRegistry.Origin(source: source, actor: actor, approves: approves)
    let outcome = try await registry.install(path, origin)
    withExtendedLifetime(file) {}
    return outcome
  }

  /// Unpacks a bundle of this host again, from the database.
  package func repair(_ digest: String) async throws {
    let (file, folder) = (try folder.receive(), folder)
    try await registry.download(digest, into: file)
    let path = file.path
    _ = try await Disk.run { try folder.unpack(path, expecting: digest, replacing: true) }
    withExtendedLifetime(file) {}
  }

  // MARK: What comes with the host

  /// Packs, signs and installs the plugins of the host's own folders whose content no host has installed before.
  ///
  /// Only files that changed since the last start are read. What a person removed or replaced stays so.
  package func installOwn(_ sources: PluginSources, logger: Logger) async throws {
    let (folder, configuration) = (folder, configuration)
    let packed: [BundleSource] = try await Disk.run {
      var packed: [BundleSource] = []
      for manifest in sources.manifests {
        guard sources.hasProgram(manifest) else {
          logger.error(
            "The program of a plugin is missing; an installed version stays as it is",
            ["plugin": "\(manifest.id)", "program": "\(sources.program(of: manifest))"]
          )
          continue
        }
        do {
          packed.append(
            try BundleSource(sources.manifestPath(manifest), programs: configuration.plugins, digests: folder.digests)
          )
        } catch {
          logger.error("A plugin of the host can not be packed", ["plugin": "\(manifest.id)", "error": "\(error)"])
        }
      }
      return packed
    }
    let known = try await registry.known(contents: packed.map(\.content))
    let new = packed.filter { known[$0.content] == nil }
    guard !new.isEmpty else { return }
    let (removed, current) = (try await registry.removed(), try await registry.current())
    for source in new where !removed.contains(source.id) {
      await orLog("Installing a plugin of the host", logger) {
        try await installOwn(source, over: current.bundle(of: source.id), logger: logger)
      }
    }
    try await Disk.run { try folder.remember() }
  }

  private func installOwn(_ source: BundleSource, over current: StoredBundle?, logger: Logger) async throws {
    if let current, !current.isFirstParty {
      logger.notice(
        "The host's own version of a plugin is not used: another one is installed",
        ["plugin": "\(source.id)", "installed": "\(current.version)"]
      )
      return
    }
    if let current, let version = SemanticVersion(source.version), version < current.version {
      logger.notice(
        "The host's own version of a plugin is older than the installed one and is not used",
        ["plugin": "\(source.id)", "own": "\(version)", "installed": "\(current.version)"]
      )
      return
    }
    let (folder, configuration) = (folder, configuration)
    let file = try folder.receive()
    let path = file.path
    try await Disk.run { try source.pack(to: path, key: PublisherKey.readOrMake(configuration.pluginKeyFile)) }
    let origin = PluginRegistry.Origin(
      source: "the host",
      isFirstParty: true,
      actor: "the host",
      approves: true,
      replacesVersions: true
    )
    let outcome = try await registry.install(path, origin)
    if case .installed(let bundle, let previous, let generation) = outcome {
      _ = try await Disk.run { try folder.unpack(path, expecting: bundle.digest) }
      logger.notice(
        "Installed a plugin of the host",
        [
          "plugin": "\(bundle.id)", "version": "\(bundle.version)", "previous": "\(previous.map { "\($0)" } ?? "none")",
          "generation": .int(Int(generation)),
        ]
      )
    }
    withExtendedLifetime(file) {}
  }
}

/// Small questions about files.
enum PluginServerFiles {
  static func isFolder(_ path: String) -> Bool { Installation.isFolder(path) }

  /// Where the program of a source manifest lies: beside it, or in the host's folder of programs; nil for folders.
  static func programs(_ path: String, _ configuration: HostConfiguration) -> String? {
    guard !isFolder(path) else { return nil }
    let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    return path.hasPrefix(configuration.manifests) ? configuration.plugins : folder
  }
}
