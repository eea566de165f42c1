/// A JSON value; objects keep their order.
enum JSON: Sendable, Equatable {
  case null
  case bool(Bool)
  /// The number as it was written, so that nothing is lost.
  case number(String)
  case string(String)
  case array([JSON])
  case object([Member])

  struct Member: Sendable, Equatable {
    let name: String
    let value: JSON
  }

  subscript(name: String) -> JSON? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.name == name }?.value
  }

  var string: String? {
    if case .string(let text) = self { text } else { nil }
  }

  var integer: Int? {
    if case .number(let text) = self { Int(text) } else { nil }
  }

  var double: Double? {
    if case .number(let text) = self { Double(text) } else { nil }
  }

  var bool: Bool? {
    if case .bool(let value) = self { value } else { nil }
  }

  var array: [JSON]? {
    if case .array(let values) = self { values } else { nil }
  }

  var members: [Member]? {
    if case .object(let members) = self { members } else { nil }
  }

  /// The word for messages: `a string`, `a number` and so on.
  var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a truth value"
    case .number: "a number"
    case .string: "a string"
    case .array: "a list"
    case .object: "an object"
    }
  }

  /// The same value without the members of these names, at every depth.
  func without(_ names: [String]) -> JSON {
    switch self {
    case .null, .bool, .number, .string: self
    case .array(let values): .array(values.map { $0.without(names) })
    case .object(let members):
      .object(
        members.filter { !names.contains($0.name) }.map { Member(name: $0.name, value: $0.value.without(names)) }
      )
    }
  }

  /// The same value with the names of every object in order.
  var sorted: JSON {
    switch self {
    case .null, .bool, .number, .string: self
    case .array(let values): .array(values.map(\.sorted))
    case .object(let members):
      .object(members.map { Member(name: $0.name, value: $0.value.sorted) }.sorted { $0.name < $1.name })
    }
  }
}
