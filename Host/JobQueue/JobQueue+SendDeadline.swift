internal import Synchronization

extension JobQueue {
  /// The instant after which this node may start nothing outside, because its peers may take it for dead.
  ///
  /// It moves on with every heartbeat; nil before the first one.
  package var sendDeadline: ContinuousClock.Instant? {
    state.withLock { state in state.lastHeartbeat.map { $0 + settings.heartbeatLimit } }
  }
}
