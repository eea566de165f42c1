/// One server-sent event.
struct ServerSentEvent: Sendable, Equatable {
  /// `message` where the server gave none.
  var name: String
  var data: String
  /// Only if this very event brought one.
  var id: String?

  /// Bytes that count for coalescing and credit.
  var cost: Int { data.utf8.count + name.utf8.count + (id?.utf8.count ?? 0) + 32 }
}

/// Cuts the bytes of a `text/event-stream` into events, as the HTML standard says, however the bytes arrive.
///
/// Pure: bytes in, events out. Split characters, `\r\n`, `\r`, data over several lines and comments are settled here.
struct EventStreamParser: Sendable {
  enum Fault: Error, Equatable {
    /// A line, or the data of an event, is longer than allowed.
    case tooLong
  }

  /// Longest line in bytes.
  static let maximumLine = 1 << 20
  /// Longest data of one event in bytes.
  static let maximumData = 4 << 20

  private var line: [UInt8] = []
  /// Whether the last byte was a carriage return, so that a line feed next belongs to the same line end.
  private var endsWithReturn = false
  private var isFirstLine = true
  private var name = ""
  private var data: [UInt8] = []
  private var hasData = false
  private var id: String?

  /// Takes the next bytes and returns the events that they complete.
  mutating func feed(_ bytes: [UInt8]) throws(Fault) -> [ServerSentEvent] {
    var events: [ServerSentEvent] = []
    var start = 0
    for index in bytes.indices {
      let byte = bytes[index]
      guard byte == 0x0A || byte == 0x0D else {
        endsWithReturn = false
        continue
      }
      if byte == 0x0A, endsWithReturn, index == start {
        endsWithReturn = false
        start = index + 1
        continue
      }
      try append(bytes[start..<index])
      if let event = try endLine() { events.append(event) }
      endsWithReturn = byte == 0x0D
      start = index + 1
    }
    try append(bytes[start...])
    return events
  }

  private mutating func append(_ bytes: ArraySlice<UInt8>) throws(Fault) {
    guard line.count + bytes.count <= Self.maximumLine else { throw .tooLong }
    line.append(contentsOf: bytes)
  }

  private mutating func endLine() throws(Fault) -> ServerSentEvent? {
    defer { line.removeAll(keepingCapacity: line.count <= 65_536) }
    if isFirstLine {
      isFirstLine = false
      if line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
    }
    if line.isEmpty { return dispatch() }
    let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
    // A line that starts with a colon is a comment.
    if colon == line.startIndex { return nil }
    var value = line[colon...].dropFirst()
    if value.first == 0x20 { value = value.dropFirst() }
    switch String(decoding: line[..<colon], as: UTF8.self) {
    case "event": name = String(decoding: value, as: UTF8.self)
    case "data":
      guard data.count + value.count < Self.maximumData else { throw .tooLong }
      if hasData { data.append(0x0A) }
      data.append(contentsOf: value)
      hasData = true
    case "id": if !value.contains(0) { id = String(decoding: value, as: UTF8.self) }
    default: break
    }
    return nil
  }

  private mutating func dispatch() -> ServerSentEvent? {
    defer {
      name = ""
      data = []
      hasData = false
      id = nil
    }
    guard hasData else { return nil }
    return ServerSentEvent(
      name: name.isEmpty ? "message" : name,
      data: String(decoding: data, as: UTF8.self),
      id: id
    )
  }
}
