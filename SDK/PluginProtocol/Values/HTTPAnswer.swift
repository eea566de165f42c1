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
  /// Handles of what the host took out of the answer and keeps, by the names of the manifest (`page:17` in lists).
  public var captured: [String: String]
  /// What a commit made, where no answer of the platform says so: somebody looked, or a person confirmed it.
  public var remoteID: String?
  /// Whether the journal answered: nothing was sent this time.
  public var isReplayed: Bool

  /// Makes an answer.
  public init(
    status: Int,
    headers: [String: String] = [:],
    json: RawJSON? = nil,
    text: String? = nil,
    truncated: Bool = false,
    captured: [String: String] = [:],
    remoteID: String? = nil,
    isReplayed: Bool = false
  ) {
    self.status = status
    self.headers = headers
    self.json = json
    self.text = text
    self.truncated = truncated
    self.captured = captured
    self.remoteID = remoteID
    self.isReplayed = isReplayed
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
    headers = try Self.texts(object, "headers")
    captured = try Self.texts(object, "captured")
    self.json = object["json"]
    text = try object.optionalString("text")
    truncated = try object.optionalBool("truncated") ?? false
    remoteID = try object.optionalString("remoteId")
    isReplayed = try object.optionalBool("replayed") ?? false
  }

  /// Writes the object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writeMembers(to: &$0) }
  }

  /// Writes the members without the braces around them.
  func writeMembers(to writer: inout JSONWriter) {
    writer.field("status", status)
    writer.object("headers") { Self.write(headers, to: &$0) }
    if !captured.isEmpty { writer.object("captured") { Self.write(captured, to: &$0) } }
    writer.field("json", json)
    writer.field("text", text)
    writer.field("truncated", truncated)
    writer.field("remoteId", remoteID)
    if isReplayed { writer.field("replayed", true) }
  }

  private static func write(_ values: [String: String], to writer: inout JSONWriter) {
    for (name, value) in values.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
      writer.field(name, value)
    }
  }

  private static func texts(_ object: JSONObjectView, _ key: String) throws(JSONTextError) -> [String: String] {
    guard let members = try object.optionalObject(key) else { return [:] }
    var result: [String: String] = [:]
    for (name, value) in members.all {
      do throws(JSONTextError) { result[name] = try value.string() } catch { throw error.naming("\(key).\(name)") }
    }
    return result
  }
}
