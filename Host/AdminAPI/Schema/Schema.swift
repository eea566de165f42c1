import FoundationEssentials
import JSONDocument

/// The shape of a JSON value: what a request is checked against and what `/openapi.json` shows. One place for both.
package indirect enum Schema: Sendable {
  case string(ClosedRange<Int>, format: String? = nil)
  case choice([String])
  case integer(ClosedRange<Int64>)
  case number
  case boolean
  case instant
  case array(Schema, ClosedRange<Int>)
  case object([Field])
  /// An object whose keys are free, up to a number of entries.
  case map(Schema, limit: Int)
  /// Any JSON value; used in answers only.
  case any
  case nullable(Schema)
  /// A schema of the document's components, by name.
  case named(String)

  /// A member of an object.
  package struct Field: Sendable {
    let name: String
    let schema: Schema
    let isRequired: Bool
    let about: String?

    package static func required(_ name: String, _ schema: Schema, _ about: String? = nil) -> Field {
      Field(name: name, schema: schema, isRequired: true, about: about)
    }

    package static func optional(_ name: String, _ schema: Schema, _ about: String? = nil) -> Field {
      Field(name: name, schema: schema, isRequired: false, about: about)
    }
  }

  /// A number of a row.
  static let id = Schema.integer(1...Int64.max)
  static let url = Schema.string(8...2048, format: "uri")

  /// Checks a value that came from outside.
  ///
  /// - Throws: ``FieldError`` naming the first field that is wrong, what came and what is allowed.
  func check(_ value: JSONValue, at path: String) throws(FieldError) {
    switch self {
    case .string(let length, let format):
      let text = try FieldRules.string(value, path, length)
      if format == "uri" { try Self.checkAddress(text, path) }
    case .choice(let choices): _ = try FieldRules.choice(value, path, choices)
    case .integer(let range): _ = try FieldRules.integer(value, path, range)
    case .number: _ = try FieldRules.number(value, path, -1e15...1e15)
    case .boolean:
      guard value.boolValue != nil else {
        throw FieldError(
          field: path,
          code: .wrongType,
          problem: "has the wrong type",
          came: value.kind,
          allowed: "true or false"
        )
      }
    case .instant: _ = try FieldRules.date(value, path)
    case .array(let element, let count):
      for (index, item) in try FieldRules.array(value, path, count).enumerated() {
        try element.check(item, at: "\(path)[\(index)]")
      }
    case .object(let fields): try Self.check(value, fields, at: path)
    case .map(let element, let limit):
      guard let members = value.objectValue else { throw Self.notAnObject(value, path) }
      guard members.count <= limit else {
        throw FieldError(
          field: path,
          code: .outOfRange,
          problem: "has too many entries",
          came: "\(members.count)",
          allowed: "at most \(limit)"
        )
      }
      for (name, member) in members.sorted(by: { $0.key < $1.key }) {
        try element.check(member, at: FieldError.path(path, name))
      }
    case .any: return
    case .nullable(let schema): if !value.isNull { try schema.check(value, at: path) }
    case .named: return
    }
  }

  private static func check(_ value: JSONValue, _ fields: [Field], at path: String) throws(FieldError) {
    guard let members = value.objectValue else { throw notAnObject(value, path) }
    let names = Set(fields.map(\.name))
    for name in members.keys.sorted() where !names.contains(name) {
      throw FieldError(
        field: FieldError.path(path, name),
        code: .unknown,
        problem: "is not known",
        allowed: fields.map(\.name).joined(separator: ", ")
      )
    }
    for field in fields {
      guard let member = members[field.name] else {
        guard field.isRequired else { continue }
        throw FieldError(
          field: FieldError.path(path, field.name),
          code: .missing,
          problem: "is missing",
          allowed: field.schema.words
        )
      }
      try field.schema.check(member, at: FieldError.path(path, field.name))
    }
  }

  /// Only addresses that can be opened: http or https with a host and no user name.
  private static func checkAddress(_ text: String, _ path: String) throws(FieldError) {
    guard let url = URL(string: text), url.scheme == "https" || url.scheme == "http", let host = url.host(),
      !host.isEmpty, url.user() == nil
    else {
      throw FieldError(
        field: path,
        code: .notAllowed,
        problem: "is no web address",
        came: "“\(text.prefix(100))”",
        allowed: "http:// or https:// with a host and without user name"
      )
    }
  }

  private static func notAnObject(_ value: JSONValue, _ path: String) -> FieldError {
    FieldError(field: path, code: .wrongType, problem: "has the wrong type", came: value.kind, allowed: "an object")
  }

  /// The allowed values in a few words.
  private var words: String {
    switch self {
    case .string(let length, _): "text of \(length.lowerBound) to \(length.upperBound) characters"
    case .choice(let choices): choices.joined(separator: ", ")
    case .integer(let range): "a whole number from \(range.lowerBound) to \(range.upperBound)"
    case .number: "a number"
    case .boolean: "true or false"
    case .instant: "an instant such as 2026-11-21T09:00:00Z"
    case .array(let element, let count): "\(count.lowerBound) to \(count.upperBound) times \(element.words)"
    case .object, .map, .named: "an object"
    case .any: "any value"
    case .nullable(let schema): "\(schema.words), or null"
    }
  }
}
