public import JSONText
import PluginProtocol

/// What an adapter's author tells the suite: an account, posts, and what the platform answers. File `conformance.json`.
public struct ConformanceCases: Sendable {
  /// Value of the field `schema`.
  public static let schema = "rostrum-conformance/1"

  /// A post that must go out.
  struct Accepted: Sendable {
    let name: String
    let post: Post
    /// The text that rendering must give, if the author says so.
    let render: String?
  }

  /// A post that validating must find fault with.
  struct Refused: Sendable {
    let name: String
    let post: Post
    let field: String?
    let code: String?
  }

  /// What the platform answers to a rule.
  struct Reply: Sendable {
    let rule: String
    /// `published` or `absent`; nil for always.
    let when: String?
    let status: Int
    let headers: [String: String]
    let json: RawJSON?
    let text: String?

    init(_ object: JSONObjectView) throws(JSONTextError) {
      rule = try object.string("rule")
      when = try object.optionalString("when")
      guard let status = Int(exactly: try object.int64("status")) else {
        throw JSONTextError(.outOfRange, at: 0, field: "status")
      }
      self.status = status
      var headers: [String: String] = [:]
      for (name, value) in try object.optionalObject("headers")?.all ?? [] { headers[name] = try value.string() }
      self.headers = headers
      json = object["json"]
      text = try object.optionalString("text")
    }
  }

  /// An answer that must become an error of a certain kind.
  struct Failure: Sendable {
    let reply: Reply
    let kind: String
    let retryAfterMs: Int64?
  }

  let account: Account
  let accepted: [Accepted]
  let refused: [Refused]
  let replies: [Reply]
  let failures: [Failure]

  /// Nothing: every request is refused.
  static let none = ConformanceCases()

  private init() {
    account = Account(id: "1", name: "Conformance")
    accepted = []
    refused = []
    replies = []
    failures = []
  }

  /// Reads the file.
  ///
  /// - Throws: what is missing or of another type, by its name.
  public init(_ bytes: [UInt8]) throws(JSONTextError) {
    let object = try RawJSON(bytes).object()
    guard try object.string("schema") == Self.schema else { throw JSONTextError(.wrongType, at: 0, field: "schema") }
    account = try object.readOptional("account") ?? Account(id: "1", name: "Conformance")
    accepted = try Self.list(object, "posts") { (entry) throws(JSONTextError) in
      Accepted(
        name: try entry.string("name"),
        post: SampleMedia.completing(try entry.read("post")),
        render: try entry.optionalString("render")
      )
    }
    refused = try Self.list(object, "refused") { (entry) throws(JSONTextError) in
      Refused(
        name: try entry.string("name"),
        post: SampleMedia.completing(try entry.read("post")),
        field: try entry.optionalString("field"),
        code: try entry.optionalString("code")
      )
    }
    replies = try Self.list(object, "answers") { (entry) throws(JSONTextError) in try Reply(entry) }
    failures = try Self.list(object, "failures") { (entry) throws(JSONTextError) in
      Failure(
        reply: try Reply(entry),
        kind: try entry.string("kind"),
        retryAfterMs: try entry.optionalInt64("retryAfterMs")
      )
    }
  }

  private static func list<Value>(
    _ object: JSONObjectView,
    _ key: String,
    _ read: (JSONObjectView) throws(JSONTextError) -> Value
  ) throws(JSONTextError) -> [Value] {
    var values: [Value] = []
    for element in try object.elements(key) {
      do throws(JSONTextError) { values.append(try read(try element.object())) } catch {
        throw error.naming("\(key)[\(values.count)]")
      }
    }
    return values
  }
}
