import FoundationEssentials
import HTTPClient
import JSONText
import PluginManifest

/// A complete answer after redaction: what the plugin may see and what the host keeps.
struct ReadResponse: Sendable {
  let status: Int
  /// One line of JSON for the plugin.
  let result: RawJSON
  let outcome: EffectOutcome.Class
  let remoteID: String?
  let platformDate: Date?
  let rateLimit: RateLimitSnapshot?
  let redactions: Int

  init(_ response: Response, rule: EgressRule, limits: RateLimitHeaders?, redactor: Redactor) {
    let (bytes, found) = redactor.redact(response.body)
    var redactions = found
    let json = response.truncated ? nil : Self.json(bytes)
    var headers = ResponseHeaders()
    for name in rule.exposedHeaders {
      let values = response.headers.values(of: name)
      guard !values.isEmpty else { continue }
      let (value, found) = redactor.redact(values.joined(separator: ", "))
      redactions += found
      headers.fields.append((name, value))
    }
    status = response.status
    outcome = OutcomeRules.classify(status: response.status, body: json, clauses: rule.outcomes)
    let id =
      outcome == .accepted ? OutcomeRules.remoteID(rule.remoteID, body: json, headers: response.headers) : nil
    remoteID = id.map { redactor.redact($0).text }
    platformDate = ResponseFacts.date(response.headers)
    rateLimit = ResponseFacts.rateLimit(limits, response.headers, receivedAt: response.lastByteAt.date)
    result = Self.result(
      status: response.status,
      headers: headers,
      json: json,
      bytes: bytes,
      truncated: response.truncated
    )
    self.redactions = redactions
  }

  /// Longest text in an answer, counted with its escapes, so that a frame always fits.
  private static let maximumText = 917_504
  /// Leaves room for the message around the body within the depth of a frame.
  private static let maximumDepth = 56

  /// The body as one line of JSON; nil if it is none.
  private static func json(_ bytes: [UInt8]) -> RawJSON? {
    guard !bytes.isEmpty else { return nil }
    var line = bytes
    // In valid JSON a raw line end is white space; inside a string it makes the text invalid either way.
    for index in line.indices where line[index] == 0x0A || line[index] == 0x0D { line[index] = 0x20 }
    // A body that is not JSON is passed on as text.
    guard let json = try? RawJSON(line, maximumDepth: maximumDepth) else { return nil }
    return line == bytes || (try? RawJSON(bytes, maximumDepth: maximumDepth)) != nil ? json : nil
  }

  private static func result(
    status: Int,
    headers: ResponseHeaders,
    json: RawJSON?,
    bytes: [UInt8],
    truncated: Bool
  ) -> RawJSON {
    var truncated = truncated
    var writer = JSONWriter(capacity: bytes.count + 256)
    writer.beginObject()
    writer.field("status", status)
    writer.object("headers") { writer in
      for (name, value) in headers.fields { writer.field(name, value) }
    }
    if let json {
      writer.field("json", json)
    } else {
      let (text, isCut) = fitted(String(decoding: bytes, as: UTF8.self))
      truncated = truncated || isCut
      writer.field("text", text)
    }
    writer.field("truncated", truncated)
    writer.endObject()
    return writer.finish()
  }

  /// Cuts a text whose escaped form would be too long for a frame.
  private static func fitted(_ text: String) -> (String, Bool) {
    if text.utf8.count <= maximumText / 6 { return (text, false) }
    var size = 0
    var end = text.unicodeScalars.startIndex
    for index in text.unicodeScalars.indices {
      let scalar = text.unicodeScalars[index]
      size += scalar.value < 0x20 ? 6 : scalar == "\"" || scalar == "\\" ? 2 : UTF8.width(scalar)
      if size > maximumText { return (String(text.unicodeScalars[..<end]), true) }
      end = text.unicodeScalars.index(after: index)
    }
    return (text, false)
  }
}
