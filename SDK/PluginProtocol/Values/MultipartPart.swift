public import JSONText

/// One part of a multipart form: text, or a file the host holds.
public struct MultipartPart: WireValue, Equatable {
  /// What a part holds.
  public enum Content: Sendable, Equatable {
    /// A text.
    case text(String)
    /// A file, or a range of its bytes.
    case media(handle: String, range: ClosedRange<Int64>?)
  }

  /// Name of the form field.
  public var name: String
  /// What it holds.
  public var content: Content
  /// File name to send.
  public var filename: String?
  /// Media type to send.
  public var type: String?

  /// Makes a part.
  public init(name: String, content: Content, filename: String? = nil, type: String? = nil) {
    self.name = name
    self.content = content
    self.filename = filename
    self.type = type
  }

  /// Makes a part that holds a text.
  public static func text(_ name: String, _ value: String) -> MultipartPart {
    MultipartPart(name: name, content: .text(value))
  }

  /// Makes a part that holds a whole file under its own name and type.
  public static func media(_ name: String, _ item: MediaItem) -> MultipartPart {
    MultipartPart(
      name: name,
      content: .media(handle: item.handle, range: nil),
      filename: item.filename,
      type: item.type
    )
  }

  /// Reads the object; exactly one of `text` and `media` must be there.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    name = try object.string("name")
    filename = try object.optionalString("filename")
    type = try object.optionalString("type")
    switch (try object.optionalString("text"), try object.optionalString("media")) {
    case (let text?, nil): content = .text(text)
    case (nil, let handle?): content = .media(handle: handle, range: try Self.range(of: object))
    default: throw JSONTextError(.missing, at: 0, field: "text or media")
    }
  }

  /// Writes the object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("name", name)
      switch content {
      case .text(let text): writer.field("text", text)
      case .media(let handle, let range):
        writer.field("media", handle)
        Self.write(range, to: &writer)
      }
      writer.field("filename", filename)
      writer.field("type", type)
    }
  }

  /// Reads `"range":[first,last]`; both ends are inclusive.
  static func range(of object: JSONObjectView) throws(JSONTextError) -> ClosedRange<Int64>? {
    guard let elements = try object.optionalArray("range") else { return nil }
    var bounds: [Int64] = []
    for element in elements {
      do throws(JSONTextError) { bounds.append(try element.int64()) } catch { throw error.naming("range") }
      if bounds.count > 2 { break }
    }
    guard bounds.count == 2, bounds[0] >= 0, bounds[0] <= bounds[1] else {
      throw JSONTextError(.outOfRange, at: 0, field: "range")
    }
    return bounds[0]...bounds[1]
  }

  /// Writes the range member, if there is a range.
  static func write(_ range: ClosedRange<Int64>?, to writer: inout JSONWriter) {
    guard let range else { return }
    writer.array("range", [range.lowerBound, range.upperBound]) { $0.int($1) }
  }
}
