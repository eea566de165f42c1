public import JSONText

/// Body of a request the host makes; bytes of media never pass through the plugin.
public enum HTTPBody: Sendable, Equatable {
  /// No body.
  case none
  /// A JSON value.
  case json(RawJSON)
  /// URL-encoded fields, in order.
  case form([HTTPField])
  /// Plain text.
  case text(String)
  /// Parts of a multipart form, in order.
  case multipart([MultipartPart])
  /// A file, or a range of its bytes, as the whole body.
  case media(handle: String, range: ClosedRange<Int64>?)

  /// Writes the member that stands for the body; `none` writes nothing.
  func writeMember(to writer: inout JSONWriter) {
    switch self {
    case .none: break
    case .json(let value): writer.field("json", value)
    case .form(let fields):
      writer.object("form") { writer in for field in fields { writer.field(field.name, field.value) } }
    case .text(let text): writer.field("text", text)
    case .multipart(let parts): writer.field("multipart", parts)
    case .media(let handle, let range):
      writer.object("media") { writer in
        writer.field("handle", handle)
        MultipartPart.write(range, to: &writer)
      }
    }
  }

  /// Reads the body from the params; two kinds at once are refused.
  init(params: JSONObjectView) throws(JSONTextError) {
    var found: [HTTPBody] = []
    if let value = params["json"] { found.append(.json(value)) }
    if let fields = try params.optionalObject("form") {
      var form: [HTTPField] = []
      for (name, value) in fields.all {
        do throws(JSONTextError) { form.append(HTTPField(name, try value.string())) } catch {
          throw error.naming("form.\(name)")
        }
      }
      found.append(.form(form))
    }
    if let text = try params.optionalString("text") { found.append(.text(text)) }
    if params.optional("multipart") != nil { found.append(.multipart(try params.readArray("multipart"))) }
    if let media = try params.optionalObject("media") {
      found.append(.media(handle: try media.string("handle"), range: try MultipartPart.range(of: media)))
    }
    guard found.count <= 1 else { throw JSONTextError(.duplicateKey, at: 0, field: "body") }
    self = found.first ?? .none
  }
}
