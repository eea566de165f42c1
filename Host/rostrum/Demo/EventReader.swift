import JSONDocument

/// Finds the events in the bytes of an HTTP/1.1 answer that comes in pieces.
struct EventReader {
  /// The status of the answer; nil until its head is complete.
  private(set) var status: Int?
  private var isChunked = false
  private var raw: [UInt8] = []
  /// Bytes that are left of the present chunk.
  private var left = 0
  private var line: [UInt8] = []
  private var kind = ""
  private var data = ""

  /// Takes the next bytes of the connection and returns the events that they complete.
  mutating func take(_ bytes: [UInt8]) -> [EventStream.Event] {
    raw += bytes
    if status == nil {
      guard takeHead() else { return [] }
    }
    var events: [EventStream.Event] = []
    for byte in takeBody() {
      if byte != UInt8(ascii: "\n") {
        line.append(byte)
        continue
      }
      if line.last == UInt8(ascii: "\r") { line.removeLast() }
      if let event = takeLine(String(decoding: line, as: UTF8.self)) { events.append(event) }
      line.removeAll(keepingCapacity: true)
    }
    return events
  }

  private mutating func takeHead() -> Bool {
    let end = Array("\r\n\r\n".utf8)
    guard let index = raw.indices.dropLast(3).first(where: { Array(raw[$0..<($0 + 4)]) == end }) else { return false }
    let lines = String(decoding: raw[..<index], as: UTF8.self).lowercased().split(separator: "\r\n")
    raw.removeFirst(index + 4)
    status = lines.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    isChunked = lines.contains { $0.hasPrefix("transfer-encoding:") && $0.contains("chunked") }
    return true
  }

  /// The bytes of the body without the frame of chunks.
  private mutating func takeBody() -> [UInt8] {
    guard isChunked else {
      defer { raw = [] }
      return raw
    }
    var body: [UInt8] = []
    while !raw.isEmpty {
      if left > 0 {
        let count = min(left, raw.count)
        body += raw[..<count]
        raw.removeFirst(count)
        left -= count
        continue
      }
      // A size line, or the empty line behind a chunk.
      guard let newline = raw.firstIndex(of: UInt8(ascii: "\n")) else { break }
      let text = String(decoding: raw[..<newline], as: UTF8.self).prefix { $0.isHexDigit }
      raw.removeFirst(newline + 1)
      left = Int(text, radix: 16) ?? 0
    }
    return body
  }

  private mutating func takeLine(_ text: String) -> EventStream.Event? {
    if text.isEmpty {
      defer { (kind, data) = ("", "") }
      // Comment lines that only keep the connection alive make no event; neither does what is no JSON.
      guard !data.isEmpty, let value = try? JSONValue.parse(Array(data.utf8)) else { return nil }
      return EventStream.Event(kind: kind.isEmpty ? "message" : kind, data: value)
    }
    guard let colon = text.firstIndex(of: ":"), colon != text.startIndex else { return nil }
    let value = text[text.index(after: colon)...].drop { $0 == " " }
    switch text[..<colon] {
    case "event": kind = String(value)
    case "data": data += data.isEmpty ? String(value) : "\n" + value
    default: break
    }
    return nil
  }
}
