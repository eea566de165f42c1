/// Takes secrets out of bytes that arrive in pieces; a secret that is cut in two is found as well.
///
/// Holds back only an end that could be the beginning of a secret, so that a stream is not delayed.
struct StreamRedactor: Sendable {
  private let redactor: Redactor
  private var held: [UInt8] = []
  private(set) var count = 0

  init(_ redactor: Redactor) {
    self.redactor = redactor
  }

  mutating func feed(_ bytes: [UInt8]) -> [UInt8] {
    guard !redactor.isEmpty else { return bytes }
    let (output, rest, found) = redactor.redactPrefix(held.isEmpty ? bytes : held + bytes)
    held = Array(rest)
    count += found
    return output
  }

  /// What was held back, at the end of the stream.
  mutating func finish() -> [UInt8] {
    defer { held = [] }
    return held
  }
}
