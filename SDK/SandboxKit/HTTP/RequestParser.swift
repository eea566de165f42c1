/// Cuts the bytes of one connection into requests; holds no socket.
///
/// Every length that the client states is checked against the limits before memory is spent on it.
struct RequestParser {
  struct Limits: Sendable {
    var headBytes = 32 * 1024
    var headerCount = 100
    var bodyBytes = 32 * 1024 * 1024
  }

  enum Step {
    /// The bytes so far end in the middle of a request.
    case needsMore
    /// The client waits for `100 Continue` before it sends the body.
    case wantsContinue
    case request(HTTPRequest)
    /// The connection cannot be used any more.
    case refused(status: Int, reason: String)
  }

  private enum BodyKind {
    case length(Int)
    case chunked
  }

  private enum Phase {
    case head
    case body(HTTPRequest, BodyKind)
  }

  private let limits: Limits
  private var buffer: [UInt8] = []
  private var position = 0
  private var searched = 0
  private var phase = Phase.head
  private var chunkedBody: [UInt8] = []
  private var inTrailer = false

  init(limits: Limits = Limits()) {
    self.limits = limits
  }

  /// True between two requests, when a disconnect loses nothing.
  var isIdle: Bool {
    if case .head = phase { position == buffer.count } else { false }
  }

  mutating func append(_ bytes: ArraySlice<UInt8>) {
    if position == buffer.count {
      buffer.removeAll(keepingCapacity: buffer.capacity <= 64 * 1024)
      position = 0
      searched = 0
    } else if position > 64 * 1024 {
      buffer.removeFirst(position)
      searched = max(0, searched - position)
      position = 0
    }
    buffer.append(contentsOf: bytes)
  }

  mutating func next() -> Step {
    switch phase {
    case .head: parseHead()
    case .body(let request, let kind): parseBody(request, kind)
    }
  }

  // MARK: Head

  private mutating func parseHead() -> Step {
    // Empty lines before a request line are allowed (RFC 9112 §2.2).
    while position + 1 < buffer.count, buffer[position] == 13, buffer[position + 1] == 10 { position += 2 }
    searched = max(searched, position)
    guard let end = endOfHead() else {
      return buffer.count - position > limits.headBytes ? .refused(status: 431, reason: "head too large") : .needsMore
    }
    guard end - position <= limits.headBytes else { return .refused(status: 431, reason: "head too large") }
    let head = HeadParser(bytes: buffer[position..<end], limits: limits)
    position = end + 4
    searched = position
    switch head.parse() {
    case .failure(let refusal): return .refused(status: refusal.status, reason: refusal.reason)
    case .success(let parsed):
      guard let length = parsed.contentLength else {
        guard parsed.isChunked else { return .request(parsed.request) }
        chunkedBody = []
        inTrailer = false
        return startBody(parsed, .chunked)
      }
      if length == 0 { return .request(parsed.request) }
      return startBody(parsed, .length(length))
    }
  }

  private mutating func startBody(_ parsed: HeadParser.Head, _ kind: BodyKind) -> Step {
    phase = .body(parsed.request, kind)
    if parsed.expectsContinue && position == buffer.count { return .wantsContinue }
    return parseBody(parsed.request, kind)
  }

  private mutating func endOfHead() -> Int? {
    var index = searched
    while index + 3 < buffer.count {
      if buffer[index] == 13, buffer[index + 1] == 10, buffer[index + 2] == 13, buffer[index + 3] == 10 { return index }
      index += 1
    }
    searched = max(searched, index)
    return nil
  }

  // MARK: Body

  private mutating func parseBody(_ request: HTTPRequest, _ kind: BodyKind) -> Step {
    switch kind {
    case .length(let length):
      guard buffer.count - position >= length else { return .needsMore }
      var whole = request
      whole.body = Array(buffer[position..<position + length])
      position += length
      return finish(whole)
    case .chunked: return parseChunks(request)
    }
  }

  private mutating func finish(_ request: HTTPRequest) -> Step {
    phase = .head
    searched = position
    return .request(request)
  }

  private mutating func parseChunks(_ request: HTTPRequest) -> Step {
    while true {
      guard let lineEnd = endOfLine() else {
        return buffer.count - position > 1024 ? .refused(status: 400, reason: "chunk line too long") : .needsMore
      }
      if inTrailer {
        let isEmpty = lineEnd == position
        position = lineEnd + 2
        guard isEmpty else { continue }
        var whole = request
        whole.body = chunkedBody
        chunkedBody = []
        inTrailer = false
        return finish(whole)
      }
      guard let size = chunkSize(buffer[position..<lineEnd]) else {
        return .refused(status: 400, reason: "bad chunk size")
      }
      guard size <= limits.bodyBytes - chunkedBody.count else { return .refused(status: 413, reason: "body too large") }
      if size == 0 {
        position = lineEnd + 2
        inTrailer = true
        continue
      }
      let start = lineEnd + 2
      guard buffer.count - start >= size + 2 else { return .needsMore }
      guard buffer[start + size] == 13, buffer[start + size + 1] == 10 else {
        return .refused(status: 400, reason: "chunk does not end with a line end")
      }
      chunkedBody.append(contentsOf: buffer[start..<start + size])
      position = start + size + 2
    }
  }

  private func endOfLine() -> Int? {
    var index = position
    let end = min(buffer.count, position + 1024)
    while index + 1 < end {
      if buffer[index] == 13, buffer[index + 1] == 10 { return index }
      index += 1
    }
    return nil
  }

  private func chunkSize(_ line: ArraySlice<UInt8>) -> Int? {
    var size = 0
    var digits = 0
    for byte in line {
      if byte == UInt8(ascii: ";") || byte == UInt8(ascii: " ") { break }
      guard let value = Hexadecimal.value(of: byte), digits < 15 else { return nil }
      size = size << 4 | Int(value)
      digits += 1
    }
    return digits == 0 ? nil : size
  }
}
