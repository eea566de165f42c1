/// A signing secret of Standard Webhooks: `whsec_` and the base64 of 24 to 64 bytes.
struct WebhookSecret: Sendable {
  let key: [UInt8]
  /// The text as it was given, only to recognise a sender that signs with it by mistake.
  let text: String

  init?(_ text: String) {
    guard text.hasPrefix("whsec_"), let key = Base64.decode(String(text.dropFirst(6))), (24...64).contains(key.count)
    else { return nil }
    self.key = key
    self.text = text
  }
}
