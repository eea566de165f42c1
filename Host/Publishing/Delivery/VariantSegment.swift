package import JSONText

/// One further post of a thread.
package struct VariantSegment: Sendable, Equatable {
  package var text: String
  package var media: [VariantMedia]

  package init(text: String, media: [VariantMedia] = []) {
    self.text = text
    self.media = media
  }

  /// Writes the wire form.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("text", text)
      if !media.isEmpty { writer.array("media", media) { writer, file in file.write(to: &writer) } }
    }
  }

  /// Writes the form that post versions store.
  func writeStored(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("text", text)
      writer.array("media", media) { writer, file in file.writeStored(to: &writer) }
    }
  }

  /// Reads the stored form and the wire form.
  package init(json: RawJSON) throws {
    let object = try json.object()
    text = try object.optionalString("text") ?? ""
    media = try object.optionalArray("media")?.map { try VariantMedia(json: $0) } ?? []
  }

  /// Reads the list that a post version stores.
  static func list(_ text: String) throws -> [VariantSegment] {
    if text == "[]" { return [] }
    return try RawJSON(text: text).array().map { try VariantSegment(json: $0) }
  }
}
