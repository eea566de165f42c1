/// Why a plugin's process ended, or never came up.
package enum PluginStopReason: Sendable, Equatable {
  /// The host asked it to: nobody used it, it was replaced, the host stops.
  case asked
  /// It ended by itself, although nobody asked; 0 too.
  case exited(code: Int32)
  /// A signal of its own making, such as a failed check or a bad access.
  case signaled(Int32)
  /// A signal that the host did not send: somebody, or the kernel for want of memory.
  case killedFromOutside(Int32)
  /// It closed its output and stayed.
  case outputEnded
  /// It broke a rule of the protocol.
  case protocolViolation(String)
  /// It wrote far more beside its answers than anybody can read.
  case flood(String)
  /// It used more of the machine than its manifest asks for.
  case limitExceeded(String)
  /// It left calls unanswered past their time.
  case deadlinesMissed(String)
  /// It does not read its input, or did not answer a health check.
  case unresponsive(String)
  /// It did not finish the handshake in time.
  case startTimedOut(String)
  /// It could not be started, or ended before the handshake.
  case startFailed(String)
  /// It is not what its manifest says.
  case manifestMismatch(String)
  /// Its program may not be started: its files are not what was installed.
  case launchRefused(String)
  /// A newer version was taken back after it failed in its first minutes.
  case rolledBack(String)

  /// A word for it, for programs and metrics.
  package var kind: String {
    switch self {
    case .asked: "asked"
    case .exited: "exited"
    case .signaled: "signaled"
    case .killedFromOutside: "killedFromOutside"
    case .outputEnded: "outputEnded"
    case .protocolViolation: "protocolViolation"
    case .flood: "flood"
    case .limitExceeded: "limitExceeded"
    case .deadlinesMissed: "deadlinesMissed"
    case .unresponsive: "unresponsive"
    case .startTimedOut: "startTimedOut"
    case .startFailed: "startFailed"
    case .manifestMismatch: "manifestMismatch"
    case .launchRefused: "launchRefused"
    case .rolledBack: "rolledBack"
    }
  }

  /// How much it says about the plugin.
  enum Weight: Equatable {
    /// Nothing.
    case none
    /// Little: it may have been anybody.
    case foreign
    /// The plugin died of itself.
    case crash
    /// The plugin did what no honest program does.
    case offence
    /// The plugin never came up.
    case failedStart
    /// Starting it again can not help.
    case final
  }

  var weight: Weight {
    switch self {
    case .asked: .none
    case .killedFromOutside: .foreign
    case .exited, .signaled, .outputEnded, .deadlinesMissed, .unresponsive: .crash
    case .protocolViolation, .flood, .limitExceeded: .offence
    case .startTimedOut, .startFailed: .failedStart
    case .manifestMismatch, .launchRefused, .rolledBack: .final
    }
  }
}

extension PluginStopReason: CustomStringConvertible {
  package var description: String {
    switch self {
    case .asked: "stopped by the host"
    case .exited(let code): "exit code \(code)"
    case .signaled(let number): "signal \(number)"
    case .killedFromOutside(let number): "signal \(number)"
    case .outputEnded: "its output ended"
    case .protocolViolation(let text): "the plugin broke the protocol: \(text)"
    case .flood(let text): "the plugin wrote too much: \(text)"
    case .limitExceeded(let text): "the plugin exceeded a limit: \(text)"
    case .deadlinesMissed(let text), .unresponsive(let text), .startTimedOut(let text), .startFailed(let text): text
    case .manifestMismatch(let text): text
    case .launchRefused(let text): "its program may not be started: \(text)"
    case .rolledBack(let text): "taken back: \(text)"
    }
  }
}
