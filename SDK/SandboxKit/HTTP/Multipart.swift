/// Reads `multipart/form-data` (RFC 7578).
enum Multipart {
  struct Part: Sendable {
    let name: String
    let contentType: String?
    let bytes: [UInt8]
  }

  /// `nil` when the body is not well-formed.
  static func parts(of request: HTTPRequest) -> [Part]? {
    guard request.mediaType == "multipart/form-data", let boundary = boundary(request) else { return nil }
    let body = request.body
    let delimiter = Array("\r\n--\(boundary)".utf8)
    var parts: [Part] = []
    guard body.starts(with: delimiter.dropFirst(2)) else { return nil }
    var position = delimiter.count - 2
    while true {
      if body[position...].starts(with: "--".utf8) { return parts }
      guard body[position...].starts(with: "\r\n".utf8) else { return nil }
      position += 2
      guard
        let headEnd = body.firstIndex(of: Array("\r\n\r\n".utf8), from: position),
        headEnd - position <= 4096,
        let end = body.firstIndex(of: delimiter, from: headEnd + 2),
        let part = part(head: body[position..<headEnd], bytes: Array(body[min(headEnd + 4, end)..<end]))
      else { return nil }
      parts.append(part)
      guard parts.count <= 32 else { return nil }
      position = end + delimiter.count
    }
  }

  private static func boundary(_ request: HTTPRequest) -> String? {
    guard let value = request.header("content-type") else { return nil }
    return parameter("boundary", in: value).flatMap { (1...70).contains($0.utf8.count) ? $0 : nil }
  }

  private static func part(head: ArraySlice<UInt8>, bytes: [UInt8]) -> Part? {
    var name: String?
    var contentType: String?
    for line in String(decoding: head, as: UTF8.self).split(separator: "\r\n") {
      guard let colon = line.firstIndex(of: ":") else { return nil }
      let value = line[line.index(after: colon)...].trimmingSpaces()
      switch line[..<colon].lowercased() {
      case "content-disposition": name = parameter("name", in: value)
      case "content-type": contentType = value
      default: break
      }
    }
    return name.map { Part(name: $0, contentType: contentType, bytes: bytes) }
  }

  private static func parameter(_ name: String, in value: String) -> String? {
    for field in value.split(separator: ";").dropFirst() {
      let text = field.trimmingSpaces()
      guard text.lowercased().hasPrefix(name + "=") else { continue }
      let raw = text.dropFirst(name.count + 1)
      return raw.count >= 2 && raw.hasPrefix("\"") && raw.hasSuffix("\"")
        ? String(raw.dropFirst().dropLast()) : String(raw)
    }
    return nil
  }
}
