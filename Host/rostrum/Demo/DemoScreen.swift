import FoundationEssentials

/// What the demo shows: a line for each step, with the seconds since the start.
struct DemoScreen: Sendable {
  enum Mark: String, Sendable {
    case step = "·"
    case done = "✓"
    case failed = "✗"
    case waiting = "…"
  }

  let terminal: Terminal
  let startedAt: Date
  /// When the whole command line began, with building; nil when nobody said.
  let commandStartedAt: Date?

  var elapsed: TimeInterval { Date().timeIntervalSince(startedAt) }

  func title(_ text: String) {
    terminal.print()
    terminal.print(terminal.styled(text, .bold))
  }

  /// - Parameter link: An address to open, on a line of its own.
  func show(_ mark: Mark, _ text: String, link: String? = nil) {
    let style: Terminal.Style =
      switch mark {
      case .step: .blue
      case .done: .green
      case .failed: .red
      case .waiting: .yellow
      }
    terminal.print("\(terminal.styled(stamp, .dim))  \(terminal.styled(mark.rawValue, style)) \(text)")
    if let link { terminal.print("             → \(terminal.styled(link, .blue))") }
  }

  private var stamp: String {
    let text = DemoScreen.seconds(elapsed)
    return String(repeating: " ", count: max(0, 8 - text.count)) + text
  }

  /// Seconds with one decimal.
  static func seconds(_ interval: TimeInterval) -> String {
    let tenths = Int((max(0, interval) * 10).rounded())
    return "\(tenths / 10).\(tenths % 10) s"
  }
}
