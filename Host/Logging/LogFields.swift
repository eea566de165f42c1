/// The named values of a log record, in the order they were given.
package struct LogFields: Sendable, Equatable, ExpressibleByDictionaryLiteral {
  package struct Field: Sendable, Equatable {
    package let name: String
    package let value: LogValue
  }

  package private(set) var all: [Field]

  /// Makes fields without names or values.
  package init() {
    all = []
  }

  package init(dictionaryLiteral elements: (String, any LogConvertible)...) {
    all = elements.map { Field(name: $0.0, value: $0.1.logValue) }
  }

  package var isEmpty: Bool { all.isEmpty }

  /// The value of a name; setting replaces the value or adds the name at the end, and `nil` removes it.
  package subscript(name: String) -> LogValue? {
    get { all.first { $0.name == name }?.value }
    set {
      let index = all.firstIndex { $0.name == name }
      switch (index, newValue) {
      case (let index?, let value?): all[index] = Field(name: name, value: value)
      case (let index?, nil): all.remove(at: index)
      case (nil, let value?): all.append(Field(name: name, value: value))
      case (nil, nil): break
      }
    }
  }

  /// These fields and the other ones; the other ones win over equal names.
  package func merging(_ other: LogFields) -> LogFields {
    if other.isEmpty { return self }
    if isEmpty { return other }
    var merged = self
    for field in other.all {
      merged[field.name] = field.value
    }
    return merged
  }
}
