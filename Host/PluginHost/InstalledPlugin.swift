package import PluginManifest
package import Processes

/// One version of a plugin that is ready to be started: its checked manifest and how to start it.
package struct InstalledPlugin: Sendable {
  /// Watches the limits of a running process.
  ///
  /// Called once for each process that was started, on a thread that must not be held up. `exceeded` may be called once,
  /// from any thread, with words for people ("it used 140 of 96 MiB"): the process is then killed and the reason kept.
  /// What the kernel did by itself may still be told within a few hundredths of a second after the end.
  package typealias LimitWatch =
    @Sendable (
      _ process: ChildProcess,
      _ exceeded: @escaping @Sendable (_ reason: String) -> Void
    ) -> RunningWatch

  /// The watch of one process.
  package struct RunningWatch: Sendable {
    /// Told of each call that begins, on its thread; must be cheap.
    package let noteWork: @Sendable () -> Void
    /// Ends the watch; called once, when the process has ended.
    package let stop: @Sendable () -> Void

    package init(noteWork: @escaping @Sendable () -> Void = {}, stop: @escaping @Sendable () -> Void) {
      self.noteWork = noteWork
      self.stop = stop
    }
  }

  package let manifest: PluginManifest
  /// Names the bytes of this version: two plugins with one digest are the same plugin.
  package let digest: String
  /// The program, for people; a path where there is one.
  package let executable: String
  /// How the process is shut off from the machine, for people: `A`, `B`, `C`, or nil when it is not.
  package let tier: String?
  /// How long the process is kept without a call.
  package let idleStop: Duration
  /// Makes the request that starts the program; its standard streams must be pipes.
  ///
  /// May block; called on a thread of its own before each start. Throws ``LaunchRefused`` when the program must not run
  /// (its files were changed), any other error when it can not run now.
  package let launch: @Sendable () throws -> SpawnRequest
  package let watch: LimitWatch?
  /// Given when this version replaced another one a short while ago, before this host was started.
  package var predecessor: Predecessor?

  /// The version that is used again if this one fails while it is watched. It must be in the same list.
  package struct Predecessor: Sendable, Equatable {
    package let digest: String
    /// How long this version is still watched.
    package let watchedFor: Duration

    package init(digest: String, watchedFor: Duration) {
      self.digest = digest
      self.watchedFor = watchedFor
    }
  }

  package static let defaultIdleStop = Duration.seconds(600)

  package init(
    manifest: PluginManifest,
    digest: String,
    executable: String? = nil,
    tier: String? = nil,
    idleStop: Duration = InstalledPlugin.defaultIdleStop,
    watch: LimitWatch? = nil,
    launch: @escaping @Sendable () throws -> SpawnRequest
  ) {
    self.manifest = manifest
    self.digest = digest
    self.executable = executable ?? manifest.executable
    self.tier = tier
    self.idleStop = idleStop
    self.watch = watch
    self.launch = launch
  }

  /// A program that is started as it lies there: for tests and benchmarks.
  ///
  /// - Parameter executable: Absolute path of the program.
  package init(
    manifest: PluginManifest,
    executable: String,
    idleStop: Duration = InstalledPlugin.defaultIdleStop,
    watch: LimitWatch? = nil
  ) {
    let folder = executable.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" }
    self.init(
      manifest: manifest,
      digest: "\(manifest.version)@\(executable)",
      executable: executable,
      idleStop: idleStop,
      watch: watch
    ) {
      SpawnRequest(
        executable: executable,
        environment: ["LANG": "C.UTF-8", "TZ": "UTC", "SWIFT_ROOT": folder],
        workingDirectory: "/",
        standardInput: .pipe,
        standardOutput: .pipe,
        standardError: .pipe
      )
    }
  }

  var version: String { "\(manifest.version)" }

  var subject: PluginEvent.Subject { PluginEvent.Subject(id: manifest.id, version: version, digest: digest) }
}

/// Thrown by ``InstalledPlugin/launch`` when the program must not be started: its files are not what was installed.
package struct LaunchRefused: Error, CustomStringConvertible {
  package let reason: String

  package init(_ reason: String) {
    self.reason = reason
  }

  package var description: String { reason }
}
