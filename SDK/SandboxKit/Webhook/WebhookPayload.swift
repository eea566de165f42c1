/// Reads the recommended payload `{"type","timestamp","data"}`.
enum WebhookPayload {
  static func event(id: String, body: [UInt8], now: Int64) throws(WebhookVerifier.Refusal) -> WebhookEvent {
    let json: JSON
    do throws(JSONParser.Failure) {
      json = try JSONParser.parse(body)
    } catch {
      throw .init(status: 400, code: "invalid_json", message: "the body is not JSON: \(error.reason)")
    }
    guard let type = json["type"]?.string else { throw missing("type", "a string") }
    guard isType(type) else {
      throw .init(status: 400, code: "invalid_type", message: "type must be of a-z, A-Z, 0-9, _ and full stops")
    }
    guard let timestamp = json["timestamp"]?.string, CivilTime.milliseconds(iso: timestamp) != nil else {
      throw missing("timestamp", "an ISO 8601 time in UTC")
    }
    guard let data = json["data"], data.members != nil else { throw missing("data", "an object") }
    return WebhookEvent(
      id: id,
      type: type,
      at: now,
      body: body,
      digest: SHA256.digest(JSONWriter.canonical(json)),
      title: data["title"]?.string ?? data["post"]?["title"]?.string ?? "",
      text: text(data),
      link: data["url"]?.string ?? data["post"]?["url"]?.string,
      mediaCount: (data["media"] ?? data["post"]?["media"])?.array?.count ?? 0,
      subject: data["remoteId"]?.string ?? data["id"]?.string
    )
  }

  /// The text of a post, wherever a sender puts it.
  private static func text(_ data: JSON) -> String {
    for object in [data, data["post"] ?? .null] {
      for name in ["text", "content", "excerpt", "title"] {
        if let text = object[name]?.string, !text.isEmpty { return text }
      }
    }
    return ""
  }

  private static func isType(_ type: String) -> Bool {
    !type.isEmpty
      && type.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy { part in
        !part.isEmpty
          && part.allSatisfy { byte in
            byte == UInt8(ascii: "_") || (48...57).contains(byte) || (65...90).contains(byte)
              || (97...122).contains(byte)
          }
      }
  }

  private static func missing(_ name: String, _ wanted: String) -> WebhookVerifier.Refusal {
    .init(status: 400, code: "invalid_payload", message: "\(name) must be \(wanted)")
  }
}
