import PluginKit

/// Makes faulty frames from good ones; equal seeds make equal frames.
package struct FrameMutator: Sendable {
  private var random: SeededRandom

  /// Begins a sequence.
  package init(seed: String) {
    random = SeededRandom(seed: seed)
  }

  private static let tokens: [[UInt8]] = [
    "{", "}", "[", "]", "\"", ":", ",", "\\", "\\u", "\\ud800", "null", "true", "-", "0", "1e999", "\u{0}", "\u{FEFF}",
    "\"id\":", "\"id\":1,", "\"jsonrpc\":\"1.0\"", "\"result\":{}", "\"error\":{}", "\"params\":[]", "\"method\":7",
    "99999999999999999999", "\n", "\r", " ",
  ].map { Array($0.utf8) }

  /// One of the samples with one to four faults; always ends with a line feed.
  package mutating func mutate(_ samples: [[UInt8]]) -> [UInt8] {
    var bytes = Array(samples[Int.random(in: 0..<samples.count, using: &random)].dropLast())
    for _ in 0..<Int.random(in: 1...4, using: &random) { breakOnce(&bytes) }
    // A frame must not become the end of the conversation by meaning it.
    return bytes + [0x0A]
  }

  private mutating func breakOnce(_ bytes: inout [UInt8]) {
    guard !bytes.isEmpty else { return bytes.append(0x7B) }
    let place = Int.random(in: 0..<bytes.count, using: &random)
    switch Int.random(in: 0..<7, using: &random) {
    case 0: bytes[place] ^= UInt8(1) << UInt8.random(in: 0..<8, using: &random)
    case 1: bytes[place] = UInt8.random(in: 0...255, using: &random)
    case 2: bytes.remove(at: place)
    case 3: bytes.removeLast(bytes.count - place)
    case 4: bytes.insert(contentsOf: Self.tokens[Int.random(in: 0..<Self.tokens.count, using: &random)], at: place)
    case 5:
      let end = min(bytes.count, place + Int.random(in: 1...40, using: &random))
      bytes.insert(contentsOf: bytes[place..<end], at: place)
    default:
      let end = min(bytes.count, place + Int.random(in: 1...40, using: &random))
      bytes.removeSubrange(place..<end)
    }
  }
}
