/// What is known of a request when its header fields are complete, checked for what the framing needs.
struct RequestHead: Sendable {
  let id: String
  let method: HTTPMethod
  /// The target as it came.
  let target: String
  let headers: HTTPHeaders
  let remoteAddress: String
  let declaredLength: Int64?
  let hasBody: Bool
  let expectsContinue: Bool
  /// A reason to refuse the request whatever its route.
  let problem: HTTPProblem?

  init(
    id: String,
    method: String,
    version: String,
    target: String,
    headers: HTTPHeaders,
    headerBytes: Int,
    maximumHeaderBytes: Int,
    remoteAddress: String
  ) {
    self.id = id
    self.method = HTTPMethod(rawValue: method)
    self.target = target
    self.headers = headers
    self.remoteAddress = remoteAddress
    let lengths = headers.all("content-length")
    let encodings = headers.all("transfer-encoding")
    let isChunked = !encodings.isEmpty
    let declared = lengths.first.flatMap(Self.length)
    declaredLength = isChunked ? nil : declared
    hasBody = isChunked || (declared ?? 0) > 0
    expectsContinue = headers["expect"]?.lowercased() == "100-continue"
    if headerBytes + target.utf8.count > maximumHeaderBytes {
      problem = .headersTooLarge(maximumHeaderBytes)
    } else if headers.fields.contains(where: { !Self.isToken($0.name) }) {
      // The library takes any name, so `content-length ` would hide from the checks below but not from a proxy.
      problem = Self.broken("The name of a header field is malformed")
    } else if headers.all("host").count != 1, version != "HTTP/1.0" || headers["host"] != nil {
      problem = Self.broken("The request must have one host field")
    } else if lengths.count > 1 || (lengths.count == 1 && declared == nil) || (isChunked && !lengths.isEmpty) {
      problem = Self.broken("The request's length is ambiguous")
    } else if isChunked, encodings.count > 1 || encodings[0].lowercased() != "chunked" {
      problem = Self.broken("Only the transfer coding 'chunked' is allowed")
    } else {
      problem = nil
    }
  }

  /// The path without the query, which may hold secrets.
  var path: String { String(target.prefix { $0 != "?" }) }

  // After a framing mistake nobody can say where the next request begins.
  private static func broken(_ message: String) -> HTTPProblem {
    HTTPProblem(status: 400, code: "badRequest", message: message, headers: ["connection": "close"])
  }

  private static func isToken(_ name: String) -> Bool {
    !name.isEmpty
      && name.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
      }
  }

  private static func length(_ text: String) -> Int64? {
    guard !text.isEmpty, text.utf8.count <= 18, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return Int64(text)
  }

  /// The client's address: the peer's, or behind trusted proxies the last address that is not one of them.
  static func clientAddress(peer: String, headers: HTTPHeaders, trustedProxies: Set<String>) -> String {
    guard trustedProxies.contains(peer) else { return peer }
    let hops = headers.all("x-forwarded-for").flatMap { $0.split(separator: ",") }
    for hop in hops.reversed() {
      let address = String(hop.drop { $0 == " " }.prefix { $0 != " " })
      if address.isEmpty || address.utf8.count > 64 { return peer }
      if !trustedProxies.contains(address) { return address }
    }
    return peer
  }
}
