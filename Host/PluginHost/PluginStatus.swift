/// What a plugin is doing, for people and monitoring.
package struct PluginStatus: Sendable, Equatable {
  package enum State: String, Sendable {
    case stopped
    case starting
    case running
    case stopping
    case backingOff
  }

  package let id: String
  package let version: String
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
}
