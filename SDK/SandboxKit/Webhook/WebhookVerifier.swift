/// Judges the three headers of Standard Webhooks 1.0.0 over the raw body.
struct WebhookVerifier {
  static let toleranceSeconds: Int64 = 300

  struct Refusal: Error, Sendable {
    let status: Int
    let code: String
    let message: String
  }

  /// Milliseconds since 1970.
  let now: Int64
  let secrets: [WebhookSecret]

  /// The id of a message whose signature is right.
  func verify(_ request: HTTPRequest) throws(Refusal) -> String {
    let id = try header("webhook-id", request)
    let timestamp = try header("webhook-timestamp", request)
    let signatures = try header("webhook-signature", request)
    guard !id.isEmpty, id.utf8.count <= 256, !id.contains("."), id.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) else {
      throw Refusal(status: 400, code: "invalid_id", message: "webhook-id is empty, has a full stop or a space")
    }
    guard (1...12).contains(timestamp.utf8.count), timestamp.utf8.allSatisfy({ (48...57).contains($0) }),
      let seconds = Int64(timestamp)
    else {
      throw Refusal(status: 401, code: "invalid_timestamp", message: "webhook-timestamp is not unix seconds")
    }
    let age = now / 1000 - seconds
    guard age <= Self.toleranceSeconds else {
      throw Refusal(status: 401, code: "timestamp_too_old", message: "webhook-timestamp is \(age) s old")
    }
    guard age >= -Self.toleranceSeconds else {
      throw Refusal(status: 401, code: "timestamp_too_new", message: "webhook-timestamp is \(-age) s ahead")
    }
    let content = Array("\(id).\(timestamp).".utf8) + request.body
    // One key after the other, and every signature: an early answer would tell which one fits.
    var isMatched = false
    for secret in secrets {
      let wanted = HMACSHA256.code(key: secret.key, message: content)
      for candidate in Self.candidates(signatures) where equalInConstantTime(candidate, wanted) { isMatched = true }
    }
    guard isMatched else {
      throw Refusal(status: 401, code: "signature_mismatch", message: mistake(signatures, content))
    }
    return id
  }

  private func header(_ name: String, _ request: HTTPRequest) throws(Refusal) -> String {
    let values = request.headers.filter { $0.name == name }
    guard values.count == 1, let value = values.first?.value else {
      throw Refusal(
        status: 400,
        code: "missing_header",
        message: values.isEmpty ? "\(name) is missing" : "\(name) appears \(values.count) times"
      )
    }
    return value
  }

  /// The decoded `v1` signatures; other versions are passed over, anything malformed matches nothing.
  private static func candidates(_ header: String) -> [[UInt8]] {
    header.split(separator: " ").compactMap { element in
      guard let comma = element.firstIndex(of: ","), element[..<comma] == "v1" else { return nil }
      return Base64.decode(String(element[element.index(after: comma)...]))
    }
  }

  // MARK: Helping the author of a sender

  /// Names the usual mistakes; the request stays refused.
  private func mistake(_ header: String, _ content: [UInt8]) -> String {
    let elements = header.split(separator: " ").map(String.init)
    for secret in secrets {
      let right = HMACSHA256.code(key: secret.key, message: content)
      let text = Base64.encode(right)
      let standard = elements.map { $0.replacing("-", with: "+").replacing("_", with: "/") }
      if elements.contains(text) { return "the prefix v1, is missing" }
      if elements.contains("v1,\(Hexadecimal.string(right))") { return "the signature is hexadecimal, not base64" }
      if standard.contains("v1,\(text)") || standard.contains("v1,\(text.replacing("=", with: ""))") {
        return "the signature is not base64 with the standard alphabet and padding"
      }
      for wrong in [Array(secret.text.utf8), Array(secret.text.utf8.dropFirst(6))] {
        if elements.contains("v1,\(Base64.encode(HMACSHA256.code(key: wrong, message: content)))") {
          return "the key is the text of the secret, not its decoded bytes"
        }
      }
    }
    return "no v1 signature matches the raw body"
  }
}
