import Glibc

/// Writes to standard output and standard error; colours only where a person looks.
struct Terminal: Sendable {
  enum Style: String, Sendable {
    case bold = "1"
    case dim = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
    case blue = "34"
  }

  let isColoured: Bool

  init(environment: [String: String]) {
    isColoured = isatty(STDOUT_FILENO) == 1 && environment["NO_COLOR"] == nil && environment["TERM"] != "dumb"
  }

  func styled(_ text: String, _ style: Style) -> String {
    isColoured ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
  }

  /// Writes a line to standard output.
  func print(_ line: String = "") {
    Self.write(line + "\n", to: STDOUT_FILENO)
  }

  /// Writes a line to standard error.
  func complain(_ line: String) {
    Self.write(line + "\n", to: STDERR_FILENO)
  }

  /// Writes rows with columns of equal width.
  func table(_ head: [String], _ rows: [[String]]) {
    let widths = head.indices.map { column in ([head] + rows).map { $0[column].count }.max() ?? 0 }
    for (index, row) in ([head] + rows).enumerated() {
      let cells = row.enumerated().map { column, cell in
        column == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
      }
      let line = cells.joined(separator: "  ")
      print(index == 0 ? styled(line, .dim) : line)
    }
  }

  private static func write(_ text: String, to descriptor: Int32) {
    let bytes = Array(text.utf8)
    var sent = 0
    while sent < bytes.count {
      let count = unsafe bytes[sent...].withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      // Nobody reads any more: there is nobody to tell either.
      if count <= 0 { return }
      sent += count
    }
  }
}
