/// Collects the header lines of one answer, passing over interim (1xx) answers.
struct ResponseHead {
  /// The status of the line read last, interim or final.
  private(set) var status = 0
  /// Whether the blank line behind the header of a final answer has come.
  private(set) var isComplete = false
  private(set) var headers = ResponseHeaders()

  private let maximumBytes: Int
  private var bytes = 0
  private var expectsStatusLine = true

  init(maximumBytes: Int) {
    self.maximumBytes = maximumBytes
  }

  /// Takes one line with its line end; false means the answer is to be given up.
  mutating func consume(_ line: ArraySlice<UInt8>) -> Bool {
    bytes += line.count
    guard bytes <= maximumBytes else { return false }
    // What comes after the blank line are trailers, which nobody reads and which must not change the status.
    guard !isComplete else { return true }
    guard let first = line.first else { return true }
    let isFold = first == 0x20 || first == 0x09
    let text = Self.trimmed(line)
    if expectsStatusLine {
      expectsStatusLine = false
      return start(text)
    }
    if text.isEmpty {
      // A line of blanks is a fold without content, not the end of the header.
      guard !isFold else { return true }
      isComplete = status >= 200
      expectsStatusLine = !isComplete
      return true
    }
    if isFold {
      if let last = headers.fields.indices.last {
        headers.fields[last].value += " " + String(decoding: text, as: UTF8.self)
      }
      return true
    }
    guard let colon = text.firstIndex(of: UInt8(ascii: ":")) else { return true }
    let name = String(decoding: Self.trimmed(text[..<colon]), as: UTF8.self).lowercased()
    headers.fields.append((name, String(decoding: Self.trimmed(text[(colon + 1)...]), as: UTF8.self)))
    return true
  }

  /// Begins an answer; the fields of an interim one before it are forgotten.
  private mutating func start(_ line: ArraySlice<UInt8>) -> Bool {
    let digits = line.drop { $0 != 0x20 }.dropFirst().prefix(3)
    guard digits.count == 3, let code = Int(String(decoding: digits, as: UTF8.self)), code >= 100 else { return false }
    status = code
    headers = ResponseHeaders()
    return true
  }

  private static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    var text = text
    while let last = text.last, last <= 0x20 { text.removeLast() }
    while let first = text.first, first <= 0x20 { text.removeFirst() }
    return text
  }
}
