public import JSONText

/// A complete HTTP answer.
public struct HTTPAnswer: WireValue, Equatable {
  /// HTTP status.
  public var status: Int
  /// The headers the rule exposes, names in lower case.
  public var headers: [String: String]
  /// The body, if it is JSON.
  public var json: RawJSON?
  /// The body, if it is not JSON.
  public var text: String?
  /// Whether the body was longer than the rule allows and was cut.
  public var truncated: Bool

  /// Makes an answer.
  public init(
    status: Int,
    headers: [String: String] = [:],
    json: RawJSON? = nil,
    text: String? = nil,
    truncated: Bool = false
  ) {
    self.status = status
    self.headers = headers
    self.json = json
    self.text = text
    self.truncated = truncated
  }

  /// Whether the status is 2xx.
  public var isSuccess: Bool { (200..<300).contains(status) }

  /// Reads the object.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    guard let status = Int(exactly: try object.int64("status")) else {
      throw JSONTextError(.outOfRange, at: 0, field: "status")
    }
    self.status = status
    headers = [:]
    if let members = try object.optionalObject("headers") {
      for (name, value) in members.all {
        do throws(JSONTextError) { headers[name] = try value.string() } catch { throw error.naming("headers.\(name)") }
      }
    }
    self.json = object["json"]
    text = try object.optionalString("text")
    truncated = try object.optionalBool("truncated") ?? false
  }

  /// Writes the object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("status", status)
      writer.object("headers") { writer in
        for (name, value) in headers.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
          writer.field(name, value)
        }
      }
      writer.field("json", json)
      writer.field("text", text)
      writer.field("truncated", truncated)
    }
  }
}
