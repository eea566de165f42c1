/// A whole HTTP answer.
struct HTTPResponse: Sendable {
  var status: Int
  /// Names are lower-case. Date, length and connection are added on sending.
  var headers: [HTTPRequest.Header]
  var body: [UInt8]

  init(status: Int, headers: [HTTPRequest.Header] = [], body: [UInt8] = []) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  init(status: Int, contentType: String, body: [UInt8]) {
    self.init(status: status, headers: [.init(name: "content-type", value: contentType)], body: body)
  }

  static func json(_ body: [UInt8]) -> HTTPResponse { json(200, body) }

  static func json(_ status: Int, _ body: [UInt8]) -> HTTPResponse {
    HTTPResponse(status: status, contentType: "application/json; charset=utf-8", body: body)
  }

  static func text(_ status: Int, _ text: String) -> HTTPResponse {
    HTTPResponse(status: status, contentType: "text/plain; charset=utf-8", body: Array(text.utf8))
  }

  /// Replaces every header of that name.
  mutating func set(_ name: String, _ value: String) {
    headers.removeAll { $0.name == name }
    headers.append(.init(name: name, value: value))
  }

  /// The bytes on the wire.
  ///
  /// - Parameters:
  ///   - date: the value of the `date` header.
  ///   - closes: whether the connection ends after this answer.
  ///   - withoutBody: for `HEAD`; the length is still told.
  func serialized(date: String, closes: Bool, withoutBody: Bool = false) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(512 + body.count)
    bytes.append(contentsOf: "HTTP/1.1 ".utf8)
    bytes.append(contentsOf: String(status).utf8)
    bytes.append(contentsOf: " ".utf8)
    bytes.append(contentsOf: Self.reason(status).utf8)
    bytes.append(contentsOf: "\r\ndate: ".utf8)
    bytes.append(contentsOf: date.utf8)
    for header in headers {
      bytes.append(contentsOf: "\r\n".utf8)
      bytes.append(contentsOf: header.name.utf8)
      bytes.append(contentsOf: ": ".utf8)
      bytes.append(contentsOf: header.value.utf8)
    }
    if status != 204 && status != 304 {
      bytes.append(contentsOf: "\r\ncontent-length: ".utf8)
      bytes.append(contentsOf: String(body.count).utf8)
    }
    if closes { bytes.append(contentsOf: "\r\nconnection: close".utf8) }
    bytes.append(contentsOf: "\r\n\r\n".utf8)
    if !withoutBody { bytes.append(contentsOf: body) }
    return bytes
  }

  static func reason(_ status: Int) -> String {
    switch status {
    case 200: "OK"
    case 201: "Created"
    case 202: "Accepted"
    case 204: "No Content"
    case 301: "Moved Permanently"
    case 302: "Found"
    case 304: "Not Modified"
    case 307: "Temporary Redirect"
    case 308: "Permanent Redirect"
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 402: "Payment Required"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 408: "Request Timeout"
    case 409: "Conflict"
    case 410: "Gone"
    case 413: "Content Too Large"
    case 415: "Unsupported Media Type"
    case 422: "Unprocessable Content"
    case 425: "Too Early"
    case 429: "Too Many Requests"
    case 431: "Request Header Fields Too Large"
    case 500: "Internal Server Error"
    case 501: "Not Implemented"
    case 502: "Bad Gateway"
    case 503: "Service Unavailable"
    case 504: "Gateway Timeout"
    case 505: "HTTP Version Not Supported"
    default: "Status"
    }
  }
}
