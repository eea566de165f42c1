public import JSONText

/// Asks the host for one HTTP request; the manifest rule says where to and of what class.
public struct PerformHTTPRequest: RequestMessage, Equatable {
  /// What the host answers: any complete HTTP answer, whatever its status.
  public typealias Answer = HTTPAnswer
  /// Name on the wire.
  public static let method = "host/http"

  /// The call this is made for.
  public var call: String
  /// Manifest rule.
  public var rule: String
  /// Name of the step; required for prepare and commit, the rule's name for reads.
  public var step: String?
  /// Values of the path template.
  public var path: [String: String]
  /// Query values.
  public var query: [String: String]
  /// Headers the rule allows a plugin to set.
  public var headers: [String: String]
  /// The body.
  public var body: HTTPBody
  /// A shorter limit than the rule's, in milliseconds.
  public var timeoutMs: Int64?
  /// Handles of what earlier answers held, by the names that the rule uses.
  public var captures: [String: String]

  /// Makes the request.
  public init(
    call: String,
    rule: String,
    step: String? = nil,
    path: [String: String] = [:],
    query: [String: String] = [:],
    headers: [String: String] = [:],
    body: HTTPBody = .none,
    timeoutMs: Int64? = nil,
    captures: [String: String] = [:]
  ) {
    self.call = call
    self.rule = rule
    self.step = step
    self.path = path
    self.query = query
    self.headers = headers
    self.body = body
    self.timeoutMs = timeoutMs
    self.captures = captures
  }

  /// Reads the params.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    call = try object.string("call")
    rule = try object.string("rule")
    step = try object.optionalString("step")
    path = try Self.texts(object, "path")
    query = try Self.texts(object, "query")
    headers = try Self.texts(object, "headers")
    body = try HTTPBody(params: object)
    timeoutMs = try object.optionalInt64("timeoutMs")
    captures = try Self.texts(object, "captures")
  }

  /// Writes the params; maps are written in the order of their keys.
  public func write(to writer: inout JSONWriter) {
    writer.object { writeMembers(to: &$0) }
  }

  /// Writes the params without the braces around them.
  func writeMembers(to writer: inout JSONWriter) {
    writer.field("call", call)
    writer.field("rule", rule)
    writer.field("step", step)
    Self.write(path, as: "path", to: &writer)
    Self.write(query, as: "query", to: &writer)
    Self.write(headers, as: "headers", to: &writer)
    body.writeMember(to: &writer)
    writer.field("timeoutMs", timeoutMs)
    Self.write(captures, as: "captures", to: &writer)
  }

  private static func write(_ values: [String: String], as name: String, to writer: inout JSONWriter) {
    guard !values.isEmpty else { return }
    writer.object(name) { writer in
      for (key, value) in values.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
        writer.field(key, value)
      }
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
