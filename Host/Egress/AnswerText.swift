import HTTPClient
import JSONText

/// The form in which a plugin gets an answer.
enum AnswerText {
  /// Longest text in an answer, counted with its escapes, so that a frame always fits.
  static let maximumText = 917_504
  /// Leaves room for the message around the body within the depth of a frame.
  private static let maximumDepth = 56

  /// The body as one line of JSON; nil if it is none.
  static func json(_ bytes: [UInt8]) -> RawJSON? {
    guard !bytes.isEmpty else { return nil }
    var line = bytes
    // In valid JSON a raw line end is white space; inside a string it makes the text invalid either way.
    for index in line.indices where line[index] == 0x0A || line[index] == 0x0D { line[index] = 0x20 }
    // A body that is not JSON is passed on as text.
    guard let json = try? RawJSON(line, maximumDepth: maximumDepth) else { return nil }
    return line == bytes || (try? RawJSON(bytes, maximumDepth: maximumDepth)) != nil ? json : nil
  }

  static func result(
    status: Int,
    headers: ResponseHeaders,
    captures: [CapturedValue],
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
    if !captures.isEmpty {
      writer.object("captured") { writer in
        for captured in captures { writer.field(captured.handle.name, captured.handle.description) }
      }
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
