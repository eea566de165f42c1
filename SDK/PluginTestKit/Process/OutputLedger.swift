import PluginTransport
import Synchronization

/// Counts what all processes of a run wrote to stdout.
final class OutputLedger: Sendable {
  /// What was counted.
  struct Counts: Sendable {
    var frames = 0
    var strays = 0
    var malformed = 0
    /// The first line that is no frame.
    var firstStray: String?
  }

  private let state = Mutex(Counts())

  var counts: Counts { state.withLock { $0 } }

  func take(_ event: FrameReader.Event) {
    state.withLock { counts in
      switch event {
      case .frame: counts.frames += 1
      case .stray(let prefix):
        counts.strays += 1
        counts.firstStray = counts.firstStray ?? String(decoding: prefix.prefix(80), as: UTF8.self)
      case .malformed, .overflow: counts.malformed += 1
      }
    }
  }
}
