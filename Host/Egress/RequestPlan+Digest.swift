import Cryptography
import JSONText

extension RequestPlan {
  /// Hashes what the plugin decided.
  static func digest(
    _ parameters: HTTPCallParameters,
    headers: [HTTPCallParameters.Field],
    media: [String: MediaFile]
  ) -> String {
    var writer = JSONWriter(capacity: 1_024)
    writer.beginObject()
    // Handles are named by step, so a replay names the same ones.
    if !parameters.captures.isEmpty { write(parameters.captures, "captures", &writer) }
    if !headers.isEmpty { write(headers, "headers", &writer) }
    write(parameters.body, media, &writer)
    if !parameters.path.isEmpty { write(parameters.path, "path", &writer) }
    if !parameters.query.isEmpty { write(parameters.query, "query", &writer) }
    writer.field("rule", parameters.rule)
    writer.endObject()
    return "d1:" + Hex.encode(SHA256.digest(writer.bytes))
  }

  /// Writes fields as a list of pairs, sorted by name; values of one name keep their order.
  private static func write(_ fields: [HTTPCallParameters.Field], _ name: String, _ writer: inout JSONWriter) {
    let sorted = fields.enumerated().sorted { one, other in
      if one.element.name == other.element.name { return one.offset < other.offset }
      return one.element.name.utf8.lexicographicallyPrecedes(other.element.name.utf8)
    }
    writer.key(name)
    writer.beginArray()
    for (_, field) in sorted {
      writer.beginArray()
      writer.string(field.name)
      writer.string(field.value)
      writer.endArray()
    }
    writer.endArray()
  }

  private static func write(
    _ body: HTTPCallParameters.Body,
    _ media: [String: MediaFile],
    _ writer: inout JSONWriter
  ) {
    switch body {
    case .none: break
    case .json(let value): writer.field("json", value.canonical())
    case .form(let fields): write(fields, "form", &writer)
    case .text(let text): writer.field("text", text)
    case .media(let reference): write(reference, media, &writer)
    case .multipart(let parts):
      writer.key("multipart")
      writer.beginArray()
      for part in parts {
        writer.beginObject()
        writer.field("filename", part.filename)
        switch part.content {
        case .text(let text): writer.field("text", text)
        case .media(let reference): write(reference, media, &writer)
        }
        writer.field("name", part.name)
        writer.field("type", part.type)
        writer.endObject()
      }
      writer.endArray()
    }
  }

  /// A file counts by its content, not by its handle, which another run may number otherwise.
  private static func write(
    _ reference: HTTPCallParameters.MediaReference,
    _ media: [String: MediaFile],
    _ writer: inout JSONWriter
  ) {
    writer.key("media")
    writer.beginArray()
    writer.string(media[reference.handle]?.sha256 ?? "")
    if let range = reference.range {
      writer.int(range.lowerBound)
      writer.int(range.upperBound - 1)
    }
    writer.endArray()
  }
}
