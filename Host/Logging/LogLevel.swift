/// How much a log record matters, lowest first.
///
/// `fault` is a bug of ours, `error` is bad input or a broken outside part, `warning` needs a look soon, `notice` is a
/// rare normal event, `info` a usual one, `debug` is for developers.
package enum LogLevel: Int, Sendable, Comparable, CaseIterable {
  case debug
  case info
  case notice
  case warning
  case error
  case fault

  package static func < (lhs: LogLevel, rhs: LogLevel) -> Bool {
    lhs.rawValue < rhs.rawValue
  }

  /// The lower-case name, as it stands in a JSON line.
  package var name: String {
    switch self {
    case .debug: "debug"
    case .info: "info"
    case .notice: "notice"
    case .warning: "warning"
    case .error: "error"
    case .fault: "fault"
    }
  }

  /// Reads a lower-case name.
  package init?(name: String) {
    guard let level = LogLevel.allCases.first(where: { $0.name == name }) else { return nil }
    self = level
  }
}
