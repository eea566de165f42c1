/// Reads a request line and its header lines.
struct HeadParser {
  let bytes: ArraySlice<UInt8>
  let limits: RequestParser.Limits

  struct Head {
    var request: HTTPRequest
    var contentLength: Int?
    var isChunked: Bool
    var expectsContinue: Bool
  }

  struct Refusal: Error {
    let status: Int
    let reason: String
  }

  func parse() -> Result<Head, Refusal> {
    var lines = bytes.split(separator: 10, omittingEmptySubsequences: false)
    for index in lines.indices where index < lines.count - 1 {
      guard lines[index].last == 13 else { return .failure(.init(status: 400, reason: "bare line feed")) }
      lines[index].removeLast()
    }
    guard let first = lines.first else { return .failure(.init(status: 400, reason: "no request line")) }
    let words = first.split(separator: 32, omittingEmptySubsequences: false)
    guard words.count == 3 else { return .failure(.init(status: 400, reason: "bad request line")) }
    let version = String(decoding: words[2], as: UTF8.self)
    guard version == "HTTP/1.1" || version == "HTTP/1.0" else {
      return .failure(.init(status: 505, reason: "HTTP/1.1 only"))
    }
    let method = String(decoding: words[0], as: UTF8.self)
    guard !method.isEmpty, words[0].allSatisfy(Self.isTokenByte) else {
      return .failure(.init(status: 400, reason: "bad method"))
    }
    guard let (path, query) = Self.target(words[1]) else {
      return .failure(.init(status: 400, reason: "bad request target"))
    }
    guard lines.count - 1 <= limits.headerCount else {
      return .failure(.init(status: 431, reason: "too many headers"))
    }
    return headers(lines.dropFirst()).flatMap {
      head(method: method, path: path, query: query, version: version, headers: $0)
    }
  }

  private func head(
    method: String,
    path: String,
    query: String,
    version: String,
    headers: [HTTPRequest.Header]
  ) -> Result<Head, Refusal> {
    var length: Int?
    var isChunked = false
    var expectsContinue = false
    var closes = version == "HTTP/1.0"
    for header in headers {
      switch header.name {
      case "content-length":
        guard length == nil, !header.value.isEmpty, header.value.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) else {
          return .failure(.init(status: 400, reason: "bad content-length"))
        }
        guard let value = Int(header.value), value <= limits.bodyBytes else {
          return .failure(.init(status: 413, reason: "body too large"))
        }
        length = value
      case "transfer-encoding":
        guard header.value.lowercased() == "chunked", !isChunked else {
          return .failure(.init(status: 501, reason: "only chunked is understood"))
        }
        isChunked = true
      case "connection":
        let words = header.value.lowercased().split(separator: ",").map { $0.trimmingSpaces() }
        if words.contains("close") { closes = true }
        if words.contains("keep-alive") { closes = false }
      case "expect": expectsContinue = header.value.lowercased() == "100-continue"
      default: break
      }
    }
    // Two statements of the length are the base of request smuggling; RFC 9112 §6.3 allows to refuse them.
    guard length == nil || !isChunked else { return .failure(.init(status: 400, reason: "two body lengths")) }
    let request = HTTPRequest(method: method, path: path, rawQuery: query, headers: headers, closes: closes)
    return .success(
      Head(request: request, contentLength: length, isChunked: isChunked, expectsContinue: expectsContinue)
    )
  }

  private func headers(_ lines: ArraySlice<ArraySlice<UInt8>>) -> Result<[HTTPRequest.Header], Refusal> {
    var headers: [HTTPRequest.Header] = []
    headers.reserveCapacity(lines.count)
    for line in lines {
      guard
        let colon = line.firstIndex(of: UInt8(ascii: ":")),
        colon > line.startIndex,
        line[..<colon].allSatisfy(Self.isTokenByte)
      else { return .failure(.init(status: 400, reason: "bad header line")) }
      var start = colon + 1
      var end = line.endIndex
      while start < end, line[start] == 32 || line[start] == 9 { start += 1 }
      while end > start, line[end - 1] == 32 || line[end - 1] == 9 { end -= 1 }
      headers.append(
        .init(
          name: String(decoding: line[..<colon], as: UTF8.self).lowercased(),
          value: String(decoding: line[start..<end], as: UTF8.self)
        )
      )
    }
    return .success(headers)
  }

  private static func target(_ bytes: ArraySlice<UInt8>) -> (path: String, query: String)? {
    var rest = bytes
    let scheme = Array("http://".utf8)
    if rest.starts(with: scheme) {
      rest = rest.dropFirst(scheme.count)
      rest = rest[(rest.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex)...]
    }
    guard rest.first == UInt8(ascii: "/"), rest.allSatisfy({ $0 > 32 && $0 < 127 }) else { return nil }
    guard let question = rest.firstIndex(of: UInt8(ascii: "?")) else {
      return (String(decoding: rest, as: UTF8.self), "")
    }
    return (
      String(decoding: rest[..<question], as: UTF8.self), String(decoding: rest[(question + 1)...], as: UTF8.self)
    )
  }

  private static func isTokenByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
      UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
      UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
      true
    default: false
    }
  }
}
