package import FoundationEssentials

/// What a plugin is doing, for people and monitoring.
package struct PluginStatus: Sendable, Equatable {
  package enum State: String, Sendable {
    case stopped
    case starting
    case running
    case stopping
    case backingOff
    case quarantined
  }

  /// What has happened since the host started.
  package struct Counters: Sendable, Equatable {
    /// Calls that were opened.
    package var calls = 0
    /// Processes that were started.
    package var starts = 0
    /// Processes that ended unasked, and starts that failed.
    package var crashes = 0
    /// Lines on standard output that were no messages.
    package var strayLines = 0
    /// Bytes of standard error.
    package var errorBytes = 0
    /// Lines and messages that were not logged, because there were too many.
    package var dropped = 0

    package init() {}
  }

  /// One version beside others.
  package struct Version: Sendable, Equatable {
    package let version: String
    package let digest: String
    /// Whether new calls go to it.
    package let isCurrent: Bool
    /// Whether it only ends what it has, and serves deliveries that began on it.
    package let isRetired: Bool
    package let state: State
    package let pid: Int32?
    package let openCalls: Int
    package let quarantine: Quarantine?
  }

  package let id: String
  package let version: String
  package let digest: String
  /// How the process is shut off from the machine; nil when that was not told.
  package let tier: String?
  package let state: State
  package let pid: Int32?
  /// Calls that are open now.
  package let openCalls: Int
  /// How often the process was started again after the first time.
  package let restarts: Int
  /// Why the last process ended.
  package let lastExit: String?
  /// The last lines of standard error, oldest first.
  package let lastErrorLines: [String]
  package let quarantine: Quarantine?
  package let counters: Counters
  /// Until when the version is watched and taken back when it fails; nil when it is not.
  package let watchedUntil: Date?
  /// All versions that are there, the current one first.
  package let versions: [Version]
}

extension PluginStatus.State {
  init(_ state: PluginLifecycle.State) {
    self =
      switch state {
      case .stopped, .closed: .stopped
      case .starting: .starting
      case .running: .running
      case .ending, .stopping: .stopping
      case .backingOff: .backingOff
      case .quarantined: .quarantined
      }
  }
}
