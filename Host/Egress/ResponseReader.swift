import FoundationEssentials
import HTTPClient
import JSONText
import PluginManifest

/// A complete answer after captures and redaction: what the plugin may see and what the host keeps.
struct ReadResponse: Sendable {
  let status: Int
  /// One line of JSON for the plugin.
  let result: RawJSON
  let outcome: EffectOutcome.Class
  let remoteID: String?
  let platformDate: Date?
  let rateLimit: RateLimitSnapshot?
  let captures: [CapturedValue]
  /// How often a live secret stood in the answer where no rule expects one.
  let redactions: Int

  init(_ response: Response, rule: EgressRule, manifest: PluginManifest, reader: CaptureReader, redactor: Redactor) {
    let reading = reader.read(response)
    let echoes = reading.captures.isEmpty ? nil : Redactor(reading.captures.map(\.value))
    var redactions = 0
    func clean(_ bytes: [UInt8]) -> [UInt8] {
      let (first, found) = redactor.redact(bytes)
      redactions += found
      // A captured value that stands in the answer a second time is no alarm, but is nobody's to see.
      return echoes?.redact(first).bytes ?? first
    }
    let bytes = clean(reading.body)
    let json = response.truncated ? nil : AnswerText.json(bytes)
    var headers = ResponseHeaders()
    for name in rule.exposedHeaders + reader.capturedHeaders where headers[name] == nil {
      let values = reading.headers.values(of: name)
      guard !values.isEmpty else { continue }
      let value = clean(Array(values.joined(separator: ", ").utf8))
      headers.fields.append((name, String(decoding: value, as: UTF8.self)))
    }
    status = response.status
    outcome = OutcomeRules.classify(status: response.status, body: json, clauses: rule.outcomes)
    let id =
      outcome == .accepted ? OutcomeRules.remoteID(rule.remoteID, body: json, headers: reading.headers) : nil
    remoteID = id.map { redactor.redact($0).text }
    platformDate = ResponseFacts.date(response.headers)
    rateLimit = ResponseFacts.rateLimit(
      manifest,
      response.headers,
      status: response.status,
      body: json,
      receivedAt: response.lastByteAt.date
    )
    captures = reading.captures
    result = AnswerText.result(
      status: response.status,
      headers: headers,
      captures: reading.captures,
      json: json,
      bytes: bytes,
      truncated: response.truncated
    )
    self.redactions = redactions
  }
}
