package import FoundationEssentials

/// One line between the host and a plugin, as people may see it.
///
/// No frame ever holds a secret: the host puts them into requests after the plugin asked, and takes them out of answers.
/// What frames hold is private all the same (posts, accounts), so only their first bytes are kept.
package struct FrameRecord: Sendable, Equatable {
  package enum Direction: String, Sendable {
    case toPlugin
    case fromPlugin
  }

  /// Bytes of a frame that are kept.
  package static let keptBytes = 2_048

  package let at: Date
  package let direction: Direction
  /// The length of the whole line in bytes, without its end.
  package let size: Int
  /// The first bytes of the line.
  private let head: [UInt8]

  init(at: Date, direction: Direction, line: some Collection<UInt8>) {
    self.at = at
    self.direction = direction
    let isEnded = line.count > 0 && line[line.index(line.startIndex, offsetBy: line.count - 1)] == 0x0A
    size = line.count - (isEnded ? 1 : 0)
    head = Array(line.prefix(min(size, Self.keptBytes)))
  }

  /// The line, cut after two KiB.
  package var text: String {
    String(decoding: head, as: UTF8.self) + (size > head.count ? "…" : "")
  }

  /// The method that is called; nil for answers and for what is no message.
  package var method: String? { member("method")?.text() }

  /// The number of the request; nil for notifications and for what is no message.
  package var id: Int64? { member("id")?.number() }

  /// Whether it answers a request, with a result or an error.
  package var isAnswer: Bool { method == nil && id != nil }

  private func member(_ name: String) -> Member? {
    // A cut frame is no JSON any more, so the head is searched instead of parsed. The host and the SDK write the
    // members of the envelope first.
    let key = Array("\"\(name)\":".utf8)
    guard let range = head.prefix(256).firstRange(of: key) else { return nil }
    return Member(bytes: head[range.upperBound...].prefix(128))
  }

  private struct Member {
    let bytes: ArraySlice<UInt8>

    func text() -> String? {
      guard bytes.first == UInt8(ascii: "\"") else { return nil }
      let rest = bytes.dropFirst()
      guard let end = rest.firstIndex(of: UInt8(ascii: "\"")) else { return nil }
      return String(decoding: rest[..<end], as: UTF8.self)
    }

    func number() -> Int64? {
      let digits = bytes.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      return Int64(String(decoding: digits, as: UTF8.self))
    }
  }
}
