internal import Processes

/// What the machine is told, what it says, and where it stands.
extension PluginLifecycle {
  enum State: Equatable {
    case stopped
    case starting
    case running(since: Instant)
    /// The process is being ended or is ending by itself.
    case ending
    /// The process was asked to end.
    case stopping(StopStep)
    case backingOff(until: Instant)
    /// Nothing is started; after `until` the next call starts a process on trial.
    case quarantined(PluginStopReason, until: Instant?)
    /// No process is left and none will be started.
    case closed
  }

  enum StopStep: Equatable {
    case drain
    case input
    case terminate
    case kill
  }

  enum Event: Equatable {
    /// A call needs the plugin.
    case wanted
    /// The process could not be started.
    case spawnFailed(PluginStopReason)
    /// The handshake is done.
    case ready
    /// The plugin broke a rule, used too much or does not react.
    case faulted(PluginStopReason)
    /// The process's output has ended and all of it was read.
    case outputEnded
    /// The process has closed its input.
    case inputClosed
    case exited(ExitStatus)
    case timer(Int)
    /// It is time to see whether anybody uses the process.
    case idleTimer(Int)
    /// The last open call of a process that drains has ended.
    case idle
    /// No call is open, and none can be opened any more.
    case sealed
    /// The plugin says that it has nothing left to do.
    case drained
    /// New calls go to another version.
    case retire
    /// New calls come again.
    case resume
    /// Retire, and close when that is done.
    case dismiss
    /// Never start it again, for this reason.
    case condemn(PluginStopReason)
    /// End a quarantine.
    case release
    case shutdown
  }

  enum Action: Equatable {
    case spawn
    case setTimer(Int, at: Instant)
    case setIdleTimer(Int, at: Instant)
    /// Let waiting calls go on.
    case admit
    /// Fail waiting calls.
    case refuse(PluginFailure)
    /// Fail the open calls of the process.
    case failCalls(PluginStopReason)
    /// Let no call in any more if none is open, and then report `sealed`; tell when the last one ends otherwise.
    case seal
    case sayDrain
    case sayShutdown
    case closeInput
    case terminate
    case kill
    /// The process is gone.
    case reportEnd(PluginStopReason)
    case reportQuarantine(PluginStopReason, exit: String?, until: Instant?)
    case reportRelease
    case reportDrained
    /// No process is left and none will be started.
    case close
  }

  /// What the machine has to know about the calls.
  struct Calls: Equatable {
    var open = 0
    var answered = 0
    /// When the last call ended.
    var lastEnd: Instant?
  }
}

extension PluginLifecycle.State {
  var hasNoProcess: Bool {
    switch self {
    case .stopped, .backingOff, .quarantined, .closed: true
    case .starting, .running, .ending, .stopping: false
    }
  }
}
