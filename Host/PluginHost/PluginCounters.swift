internal import Synchronization

/// Counts what one plugin version does.
final class PluginCounters: Sendable {
  private let counters = Mutex(PluginStatus.Counters())

  var snapshot: PluginStatus.Counters { counters.withLock(\.self) }

  func change(_ body: (inout PluginStatus.Counters) -> Void) {
    counters.withLock { body(&$0) }
  }
}
