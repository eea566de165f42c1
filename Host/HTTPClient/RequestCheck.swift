/// Finds what could not be put on the wire as meant, above all bytes that would start a new line.
enum RequestCheck {
  /// Returns a constant text that names the problem, or nil.
  static func problem(in request: OutgoingRequest) -> String? {
    guard !request.method.isEmpty, request.method.utf8.count <= 32, request.method.utf8.allSatisfy(isToken) else {
      return "the method is not a token"
    }
    guard isAddress(request.url) else { return "the address is not an absolute http or https URL" }
    guard request.timeout > .zero, request.connectTimeout > .zero else { return "a timeout is not positive" }
    guard request.maximumResponseBytes >= 0 else { return "the response limit is negative" }
    var size = request.method.utf8.count + request.url.utf8.count
    for (name, value) in request.headers {
      size += name.utf8.count + value.utf8.count + 4
      guard size <= maximumHeaderBytes else { return "the header is longer than 16384 bytes" }
      guard !name.isEmpty, name.utf8.allSatisfy(isToken) else { return "a header name is not a token" }
      guard value.utf8.allSatisfy({ $0 == 0x09 || ($0 >= 0x20 && $0 != 0x7f) }) else {
        return "a header value has a control character"
      }
      guard !ownHeaders.contains(name.lowercased()) else { return "a header belongs to the client" }
      if case .multipart = request.body, name.lowercased() == "content-type" {
        return "the content type of a multipart body belongs to the client"
      }
    }
    if case .multipart(let parts, let boundary) = request.body {
      return MultipartForm.problem(parts: parts, boundary: boundary)
    }
    return nil
  }

  /// What every server takes, with room for the fields that the client adds.
  private static let maximumHeaderBytes = 16_384

  private static let ownHeaders: Set<String> = [
    "connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
  ]

  private static func isAddress(_ url: String) -> Bool {
    guard url.hasPrefix("https://") || url.hasPrefix("http://"), url.utf8.count <= 8_192 else { return false }
    return url.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "#") }
  }

  static func isToken(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "A")...UInt8(ascii: "Z"):
      true
    default: tokenPunctuation.contains(byte)
    }
  }

  private static let tokenPunctuation = Array("!#$%&'*+-.^_`|~".utf8)
}
