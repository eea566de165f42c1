import HTTPClient
import JSONDocument

/// A client of an HTTP interface that speaks JSON, for programs on this machine only.
struct DemoClient: Sendable {
  let origin: String
  private let token: String?
  private let http: HTTPClient

  init(_ http: HTTPClient, origin: String, token: String? = nil) {
    self.http = http
    self.origin = origin
    self.token = token
  }

  func get(_ path: String) async throws -> JSONValue {
    try await send("GET", path, .none, type: nil)
  }

  func post(_ path: String, _ body: JSONValue) async throws -> JSONValue {
    try await send("POST", path, .bytes(body.serialized()), type: "application/json")
  }

  func upload(_ path: String, _ bytes: [UInt8], type: String) async throws -> JSONValue {
    try await send("POST", path, .bytes(bytes), type: type)
  }

  private func send(_ method: String, _ path: String, _ body: RequestBody, type: String?) async throws -> JSONValue {
    var headers: [(String, String)] = [("accept", "application/json")]
    if let type { headers.append(("content-type", type)) }
    if let token { headers.append(("authorization", "Bearer \(token)")) }
    let request = OutgoingRequest(
      method: method,
      url: origin + path,
      headers: headers,
      body: body,
      maximumResponseBytes: 16 << 20,
      addressPolicy: { $0.isLoopback }
    )
    switch await http.perform(request) {
    case .notSent(let reason): throw CommandError(.failure, "\(method) \(origin)\(path) was not sent: \(reason.detail)")
    case .unknown(let reason):
      throw CommandError(.failure, "\(method) \(origin)\(path) got no answer: \(reason.detail)")
    case .response(let response):
      let value = try JSONValue.parse(response.body)
      guard (200..<300).contains(response.status) else {
        let message = value.pointer("/error/message")?.stringValue ?? "no reason was given"
        throw CommandError(.failure, "\(method) \(path) was answered with \(response.status): \(message)")
      }
      return value
    }
  }
}

extension SocketAddress {
  var isLoopback: Bool { isIPv4 && bytes.first == 127 }
}
