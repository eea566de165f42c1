import JSONText

/// As much of JSON Schema as the protocol's schemas use. Stricter than JSON Schema: members without a description are
/// problems, so that nothing travels that is not described.
struct SchemaReader {
  private let root: RawJSON

  init(_ root: RawJSON) throws {
    self.root = root
  }

  func problems(of value: RawJSON, at pointer: String) -> [String] {
    guard let schema = root.pointer(pointer) else { return ["there is no schema at \(pointer)"] }
    return problems(of: value, schema, "")
  }

  func requires(_ key: String, at pointer: String) -> Bool {
    let required = root.pointer(pointer)?.pointer("/required").flatMap { try? $0.array() }.map { Array($0) } ?? []
    return required.contains { (try? $0.string()) == key }
  }

  func hasChoice(at pointer: String) -> Bool { root.pointer(pointer + "/oneOf") != nil }

  private func problems(of value: RawJSON, _ schema: RawJSON, _ place: String) -> [String] {
    if let name = text(schema, "/$ref") {
      guard let target = root.pointer(String(name.dropFirst())) else { return ["\(place): \(name) is not there"] }
      return problems(of: value, target, place)
    }
    if let choices = schema.pointer("/oneOf").flatMap({ try? $0.array() }) {
      let all = choices.map { problems(of: value, $0, place) }
      let fitting = all.count { $0.isEmpty }
      return fitting == 1 ? [] : ["\(place): fits \(fitting) of \(all.count) forms: \(all)"]
    }
    if let wanted = schema.pointer("/const") { return wanted == value ? [] : ["\(place): is not \(wanted)"] }
    switch text(schema, "/type") {
    case nil: return []
    case "object"?: return members(of: value, schema, place)
    case "array"?:
      guard let elements = try? value.array(), let items = schema.pointer("/items") else {
        return ["\(place): no list"]
      }
      return elements.enumerated().flatMap { problems(of: $1, items, "\(place)/\($0)") }
    case "string"?:
      guard let text = try? value.string() else { return ["\(place): no string"] }
      guard let choices = schema.pointer("/enum").flatMap({ try? $0.array() }) else { return [] }
      return choices.contains { (try? $0.string()) == text } ? [] : ["\(place): \(text) is none of the choices"]
    case "integer"?:
      guard let number = try? value.int64() else { return ["\(place): no integer"] }
      let low = schema.pointer("/minimum").flatMap { try? $0.int64() } ?? .min
      let high = schema.pointer("/maximum").flatMap { try? $0.int64() } ?? .max
      return (low...high).contains(number) ? [] : ["\(place): \(number) is out of bounds"]
    case "number"?: return (try? value.double()) == nil ? ["\(place): no number"] : []
    case "boolean"?: return (try? value.bool()) == nil ? ["\(place): no truth value"] : []
    case let other?: return ["\(place): the type \(other) is not known"]
    }
  }

  private func members(of value: RawJSON, _ schema: RawJSON, _ place: String) -> [String] {
    guard let object = try? value.object() else { return ["\(place): no object"] }
    var problems: [String] = []
    for (key, member) in object.all {
      if let described = schema.pointer("/properties").flatMap({ try? $0.object() })?[key] {
        problems += self.problems(of: member, described, "\(place)/\(key)")
      } else if let rest = schema.pointer("/additionalProperties") {
        problems += self.problems(of: member, rest, "\(place)/\(key)")
      } else if schema.pointer("/properties") != nil {
        problems.append("\(place)/\(key): is not described")
      }
    }
    for key in schema.pointer("/required").flatMap({ try? $0.array() }).map({ Array($0) }) ?? [] {
      guard let name = try? key.string(), object[name] == nil else { continue }
      problems.append("\(place)/\(name): is missing")
    }
    return problems
  }

  private func text(_ schema: RawJSON, _ pointer: String) -> String? {
    schema.pointer(pointer).flatMap { try? $0.string() }
  }
}
