import JSONText
public import PluginProtocol

/// Sends an adapter's requests to a sandbox on this machine, as the manifest's rules say.
///
/// Every origin of the manifest is taken for the sandbox. Knows slots in headers, queries, forms and JSON bodies, no
/// signers: what needs one is refused.
public struct SandboxPlatform: ScriptedPlatform {
  private let port: UInt16
  private let secrets: [String: String]

  /// - Parameters:
  ///   - port: where the sandbox listens on 127.0.0.1.
  ///   - secrets: values by the names of the manifest; a slot without one is left empty.
  public init(port: UInt16, secrets: [String: String]) {
    self.port = port
    self.secrets = secrets
  }

  /// Does nothing: a sandbox keeps what was published.
  public func reset() async {}

  /// Sends the request and waits for the whole answer.
  public func answer(
    _ request: PerformHTTPRequest,
    rule: ManifestRule,
    account: Account,
    method: String
  ) async throws(ProtocolError) -> HTTPAnswer {
    guard !rule.isSigned else {
      throw ProtocolError(.internal, "the rule \(rule.name) needs a signature, which only a host can make")
    }
    let (head, body) = try message(request, rule, account)
    switch await LoopbackHTTP.perform(port: port, head: head, body: body) {
    case .failure(.unreachable):
      throw ProtocolError(.upstreamUnreachable, "the sandbox does not listen on port \(port)")
    case .failure(.noAnswer):
      throw ProtocolError(rule.isEffect ? .outcomeUnknown : .upstreamTimeout, "sent, but no complete answer came")
    case .success(let response):
      // A body that is no JSON travels as text, as with a host.
      let json = try? RawJSON(response.body)
      let text = json == nil ? String(decoding: response.body, as: UTF8.self) : nil
      return HTTPAnswer(status: response.status, headers: response.headers, json: json, text: text)
    }
  }

  // MARK: The message

  private func message(
    _ request: PerformHTTPRequest,
    _ rule: ManifestRule,
    _ account: Account
  ) throws(ProtocolError) -> (String, [UInt8]) {
    var path = rule.path ?? Self.path(of: account.origin)
    for (name, value) in request.path { path = path.replacing("{\(name)}", with: Self.encode(value)) }
    var query = request.query
    var headers = request.headers
    var form: [(String, String)] = []
    for slot in rule.slots {
      let value = slot.format.replacing("{}", with: secrets[slot.secret] ?? "")
      let name = String(slot.place.drop { $0 != "." }.dropFirst())
      if slot.place.hasPrefix("header.") { headers[name] = value }
      if slot.place.hasPrefix("query.") { query[name] = value }
      if slot.place.hasPrefix("form.") { form.append((name, value)) }
    }
    let (type, body) = try Self.body(request.body, form: form, headers: headers)
    if let type { headers["content-type"] = type }
    let pairs = query.sorted { $0.key < $1.key }.map { "\(Self.encode($0.key))=\(Self.encode($0.value))" }
    let target = pairs.isEmpty ? path : "\(path)?\(pairs.joined(separator: "&"))"
    var head = "\(rule.method) \(target) HTTP/1.1\r\nhost: 127.0.0.1:\(port)\r\nconnection: close\r\n"
    for (name, value) in headers.sorted(by: { $0.key < $1.key }) { head += "\(name): \(value)\r\n" }
    if rule.method != "GET" || !body.isEmpty { head += "content-length: \(body.count)\r\n" }
    return (head + "\r\n", body)
  }

  private static func body(
    _ body: HTTPBody,
    form: [(String, String)],
    headers: [String: String]
  ) throws(ProtocolError) -> (type: String?, bytes: [UInt8]) {
    switch body {
    case .none: return (nil, [])
    case .json(let value): return ("application/json", Array(value.bytes))
    case .text(let text): return (headers["content-type"] ?? "text/plain; charset=utf-8", Array(text.utf8))
    case .form(let fields):
      let all = fields.map { ($0.name, $0.value) } + form
      let text = all.map { "\(encode($0.0))=\(encode($0.1))" }.joined(separator: "&")
      return ("application/x-www-form-urlencoded", Array(text.utf8))
    case .media(_, let range): return (headers["content-type"] ?? "image/png", media(range))
    case .multipart(let parts):
      let boundary = "rostrum-rehearsal"
      var bytes: [UInt8] = []
      for part in parts {
        bytes += "--\(boundary)\r\ncontent-disposition: form-data; name=\"\(part.name)\"".utf8
        if let filename = part.filename { bytes += "; filename=\"\(filename)\"".utf8 }
        if let type = part.type { bytes += "\r\ncontent-type: \(type)".utf8 }
        bytes += "\r\n\r\n".utf8
        switch part.content {
        case .text(let text): bytes += text.utf8
        case .media(_, let range): bytes += media(range)
        }
        bytes += "\r\n".utf8
      }
      return ("multipart/form-data; boundary=\(boundary)", bytes + "--\(boundary)--\r\n".utf8)
    }
  }

  private static func media(_ range: ClosedRange<Int64>?) -> [UInt8] {
    guard let range else { return SampleMedia.bytes }
    let size = Int64(SampleMedia.bytes.count)
    guard range.lowerBound < size else { return [] }
    return Array(SampleMedia.bytes[Int(range.lowerBound)...Int(min(range.upperBound, size - 1))])
  }

  private static func path(of address: String?) -> String {
    guard let rest = address?.split(separator: "/", maxSplits: 2).last, rest.contains("/") else { return "/" }
    return String(rest.drop { $0 != "/" })
  }

  /// Everything but unreserved characters as `%XX`.
  private static func encode(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var bytes: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: bytes.append(byte)
      default: bytes += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
