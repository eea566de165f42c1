/// One server-sent event.
package struct ServerSentEvent: Sendable, Equatable {
  /// What a client sends back as `Last-Event-ID`; nil for events that cannot be resumed from.
  package let id: String?
  /// The event's name; nil means `message`.
  package let event: String?
  package let data: String

  package init(id: String? = nil, event: String? = nil, data: String) {
    self.id = id
    self.event = event
    self.data = data
  }

  /// Tells a client that events were missed, so it should load its state anew.
  package static let gap = ServerSentEvent(event: "gap", data: "{}")

  /// The event in the stream's format; line breaks in the data become several data lines.
  package var encoded: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(data.utf8.count + 64)
    if let id { Self.append("id: ", Self.singleLine(id), to: &bytes) }
    if let event { Self.append("event: ", Self.singleLine(event), to: &bytes) }
    if data.utf8.contains(where: { $0 == 0x0A || $0 == 0x0D }) {
      for line in data.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
        Self.append("data: ", line, to: &bytes)
      }
    } else {
      Self.append("data: ", data[...], to: &bytes)
    }
    bytes.append(0x0A)
    return bytes
  }

  private static func append(_ name: String, _ value: Substring, to bytes: inout [UInt8]) {
    bytes.append(contentsOf: name.utf8)
    bytes.append(contentsOf: value.utf8)
    bytes.append(0x0A)
  }

  // A line break here would let a value end the field and begin another one.
  private static func singleLine(_ text: String) -> Substring {
    text.utf8.contains(where: { $0 == 0x0A || $0 == 0x0D || $0 == 0 })
      ? Substring(String(text.unicodeScalars.filter { $0 != "\n" && $0 != "\r" && $0 != "\0" })) : text[...]
  }
}
