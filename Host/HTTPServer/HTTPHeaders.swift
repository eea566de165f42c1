/// Header fields in order, with names in lower case.
package struct HTTPHeaders: Sendable, Equatable, ExpressibleByDictionaryLiteral {
  package struct Field: Sendable, Equatable {
    /// The name in lower case.
    package let name: String
    package let value: String
  }

  package private(set) var fields: [Field] = []

  package init() {}

  package init(dictionaryLiteral elements: (String, String)...) {
    for (name, value) in elements { add(name, value) }
  }

  /// The first value of a name, whose case does not matter.
  package subscript(_ name: String) -> String? {
    let name = name.lowercased()
    return fields.first { $0.name == name }?.value
  }

  /// All values of a name, in order.
  package func all(_ name: String) -> [String] {
    let name = name.lowercased()
    return fields.lazy.filter { $0.name == name }.map(\.value)
  }

  /// Adds a field, keeping those of the same name.
  package mutating func add(_ name: String, _ value: String) {
    fields.append(Field(name: name.lowercased(), value: value))
  }

  /// Replaces all fields of the name by one.
  package mutating func set(_ name: String, _ value: String) {
    let lowered = name.lowercased()
    fields.removeAll { $0.name == lowered }
    fields.append(Field(name: lowered, value: value))
  }

  mutating func reserve(_ count: Int) { fields.reserveCapacity(count) }

  /// The value of a cookie, without quotes; the first one counts when there are several.
  package func cookie(_ name: String) -> String? {
    for header in fields where header.name == "cookie" {
      for pair in header.value.split(separator: ";") {
        guard let equals = pair.firstIndex(of: "=") else { continue }
        guard pair[..<equals].drop(while: { $0 == " " }) == name else { continue }
        var value = pair[pair.index(after: equals)...]
        if value.count >= 2, value.first == "\"", value.last == "\"" { value = value.dropFirst().dropLast() }
        return String(value)
      }
    }
    return nil
  }
}
