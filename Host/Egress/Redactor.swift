package import Cryptography
import JSONText

/// Takes secrets out of answers, in the forms in which a server may echo them.
///
/// A second line of defence: a server that transforms a secret in another way is not caught.
package struct Redactor: Sendable {
  /// What stands in place of a secret.
  package static let mark = "[redacted]"

  private let patterns: [[UInt8]]
  /// For each first byte, whether any pattern starts with it.
  private let starts: [Bool]

  /// Makes a redactor for these secrets; those shorter than 8 bytes are left alone, for they match too much.
  package init(_ secrets: [Secret]) {
    var patterns: [[UInt8]] = []
    for secret in secrets {
      let bytes = secret.reveal()
      Self.add(bytes, to: &patterns)
      if bytes.starts(with: "whsec_".utf8) {
        let inner = Array(bytes.dropFirst(6))
        Self.add(inner, to: &patterns)
        if let key = Base64.decode(String(decoding: inner, as: UTF8.self)) { Self.add(key, to: &patterns) }
      }
    }
    // Longer first, so that a form that contains another is taken out whole.
    self.patterns = patterns.sorted { $0.count > $1.count }
    var starts = [Bool](repeating: false, count: 256)
    for pattern in self.patterns { starts[Int(pattern[0])] = true }
    self.starts = starts
  }

  /// Whether there is nothing to look for.
  var isEmpty: Bool { patterns.isEmpty }

  /// Returns the bytes without secrets, and how many were found.
  package func redact(_ bytes: [UInt8]) -> (bytes: [UInt8], count: Int) {
    guard !patterns.isEmpty else { return (bytes, 0) }
    var output: [UInt8] = []
    var count = 0
    var copied = 0
    var index = 0
    while index < bytes.count {
      guard starts[Int(bytes[index])], let length = match(bytes, index) else {
        index += 1
        continue
      }
      output.append(contentsOf: bytes[copied..<index])
      output.append(contentsOf: Self.mark.utf8)
      count += 1
      index += length
      copied = index
    }
    guard count > 0 else { return (bytes, 0) }
    output.append(contentsOf: bytes[copied...])
    return (output, count)
  }

  /// Returns the text without secrets, and how many were found.
  package func redact(_ text: String) -> (text: String, count: Int) {
    let (bytes, count) = redact(Array(text.utf8))
    return count == 0 ? (text, 0) : (String(decoding: bytes, as: UTF8.self), count)
  }

  /// Redacts as far as more bytes cannot change the result; `rest` could be the beginning of a secret.
  func redactPrefix(_ bytes: [UInt8]) -> (output: [UInt8], rest: ArraySlice<UInt8>, count: Int) {
    var output: [UInt8] = []
    var count = 0
    var copied = 0
    var index = 0
    scan: while index < bytes.count {
      guard starts[Int(bytes[index])] else {
        index += 1
        continue
      }
      let left = bytes.count - index
      for pattern in patterns {
        let length = min(pattern.count, left)
        guard (0..<length).allSatisfy({ bytes[index + $0] == pattern[$0] }) else { continue }
        // Longer forms come first: one of them may still follow where a shorter one is already there.
        guard length == pattern.count else { break scan }
        output.append(contentsOf: bytes[copied..<index])
        output.append(contentsOf: Self.mark.utf8)
        count += 1
        index += length
        copied = index
        continue scan
      }
      index += 1
    }
    output.append(contentsOf: bytes[copied..<index])
    return (output, bytes[index...], count)
  }

  private func match(_ bytes: [UInt8], _ start: Int) -> Int? {
    let left = bytes.count - start
    search: for pattern in patterns where pattern.count <= left {
      for offset in pattern.indices where bytes[start + offset] != pattern[offset] { continue search }
      return pattern.count
    }
    return nil
  }

  // MARK: Forms

  private static func add(_ secret: [UInt8], to patterns: inout [[UInt8]]) {
    guard secret.count >= 8 else { return }
    insert(secret, &patterns)
    let hex = Hex.encode(secret)
    insert(Array(hex.utf8), &patterns)
    insert(Array(hex.uppercased().utf8), &patterns)
    for phase in 0..<3 {
      let form = base64(secret, phase)
      insert(form, &patterns)
      insert(form.map { $0 == UInt8(ascii: "+") ? UInt8(ascii: "-") : $0 == UInt8(ascii: "/") ? 0x5F : $0 }, &patterns)
    }
    // A plain token has no other forms.
    if secret.allSatisfy(ASCII.isUnreserved) { return }
    guard let text = String(validating: secret, as: UTF8.self) else { return }
    let escaped = Array(RawJSON.string(text).bytes.dropFirst().dropLast())
    insert(escaped, &patterns)
    insert(escaped.flatMap { $0 == UInt8(ascii: "/") ? Array("\\/".utf8) : [$0] }, &patterns)
    let encoded = PercentEncoding.encode(text)
    insert(Array(encoded.utf8), &patterns)
    insert(lowercasedEscapes(encoded), &patterns)
    insert(Array(encoded.replacing("%20", with: "+").utf8), &patterns)
  }

  /// There are a dozen forms, so comparing is cheaper than hashing.
  private static func insert(_ form: [UInt8], _ patterns: inout [[UInt8]]) {
    guard form.count >= 8, !patterns.contains(form) else { return }
    patterns.append(form)
  }

  /// The characters that depend on nothing but the secret when it starts `phase` bytes into a Base64 group.
  private static func base64(_ secret: [UInt8], _ phase: Int) -> [UInt8] {
    let whole = Array(Base64.encode([UInt8](repeating: 0, count: phase) + secret).utf8)
    let padding = whole.reversed().prefix { $0 == UInt8(ascii: "=") }.count
    let tail = padding == 0 ? 0 : padding + 1
    return Array(whole.dropFirst(phase == 0 ? 0 : phase + 1).dropLast(tail))
  }

  private static func lowercasedEscapes(_ text: String) -> [UInt8] {
    var bytes = Array(text.utf8)
    for index in bytes.indices where bytes[index] == UInt8(ascii: "%") {
      for digit in (index + 1)...(index + 2) where ASCII.isLetter(bytes[digit]) { bytes[digit] |= 0x20 }
    }
    return bytes
  }
}
