package import FoundationEssentials

/// What happened to a plugin, for the record and for people.
package enum PluginEvent: Sendable, Equatable {
  /// One version of a plugin.
  package struct Subject: Sendable, Equatable {
    package let id: String
    package let version: String
    package let digest: String

    package init(id: String, version: String, digest: String) {
      self.id = id
      self.version = version
      self.digest = digest
    }
  }

  /// A process runs and has finished its handshake.
  case started(Subject, pid: Int32)
  /// A process ended because the host asked it to.
  case stopped(Subject)
  /// A process ended otherwise, or did not come up.
  case crashed(Subject, PluginStopReason)
  /// No process is started until `until`, and then one on trial.
  case quarantined(Subject, Quarantine)
  /// A version in quarantine worked again.
  case released(Subject)
  /// A version was not taken into use.
  case selfTestFailed(Subject, reason: String)
  /// New calls go to `to`. The old version ends what it has.
  case upgraded(from: Subject, to: Subject)
  /// New calls go to `to` again, because `from` failed in its first minutes.
  case rolledBack(from: Subject, to: Subject, reason: String)
  /// The old version has no calls any more, and its process has ended.
  case drained(Subject)
  /// The plugin was taken away.
  case removed(Subject)
  /// A job is not given to this version any more, because processes died of it.
  case jobParked(Subject, job: String, reason: String)
}

/// Why no process of a plugin version is started, with what it said last.
package struct Quarantine: Sendable, Equatable {
  package let reason: PluginStopReason
  /// How the last process ended: exit code or signal; nil when there was none.
  package let exit: String?
  /// The last lines of standard error, together at most 64 KiB.
  package let errorLines: [String]
  /// The last frames, oldest first, cut.
  package let frames: [FrameRecord]
  package let since: Date
  /// When a process is started on trial; nil when starting it again can not help, until somebody releases it.
  package let until: Date?

  package init(
    reason: PluginStopReason,
    exit: String?,
    errorLines: [String] = [],
    frames: [FrameRecord] = [],
    since: Date = Date(),
    until: Date?
  ) {
    self.reason = reason
    self.exit = exit
    self.errorLines = errorLines
    self.frames = frames
    self.since = since
    self.until = until
  }
}
