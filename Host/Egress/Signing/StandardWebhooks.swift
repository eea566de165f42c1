package import Cryptography

/// The host signer of Standard Webhooks 1.0.0, version `v1` (HMAC-SHA256).
package enum StandardWebhooks {
  /// Returns the three headers for one try of one message; nil if the secret is not `whsec_` and 24...64 bytes.
  ///
  /// - Parameter seconds: Unix time of this try.
  package static func headers(id: String, seconds: Int64, body: [UInt8], secret: Secret) -> [(String, String)]? {
    guard let key = key(secret), !id.contains(".") else { return nil }
    let code = HMACSHA256.authenticate(Array("\(id).\(seconds).".utf8) + body, key: key)
    return [
      ("webhook-id", id), ("webhook-timestamp", String(seconds)), ("webhook-signature", "v1," + Base64.encode(code)),
    ]
  }

  /// The id of a message: the same for every try of a step of a delivery.
  package static func messageID(requestKey: String, step: String) -> String {
    "msg_" + IdempotencyKey.make(requestKey: requestKey, step: step)
  }

  private static func key(_ secret: Secret) -> Secret? {
    guard let text = secret.revealText(), text.hasPrefix("whsec_"),
      var bytes = Base64.decode(String(text.dropFirst(6))),
      (24...64).contains(bytes.count)
    else { return nil }
    return Secret(wiping: &bytes)
  }
}

/// Keys by which a platform recognises a repeated request.
package enum IdempotencyKey {
  /// Returns a key of `A-Z a-z 0-9 - _` that depends on nothing but the delivery and the step.
  package static func make(requestKey: String, step: String) -> String {
    let plain = "\(requestKey)_\(step)"
    let isSafe = plain.utf8.allSatisfy { ASCII.isLetter($0) || ASCII.isDigit($0) || $0 == 0x2D || $0 == 0x5F }
    if isSafe && plain.utf8.count <= 100 { return plain }
    // A newline is in neither part, so two different pairs never give the same text.
    return Hex.encode(Array(SHA256.digest("\(requestKey)\n\(step)")[..<20]))
  }
}
