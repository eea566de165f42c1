package import FoundationEssentials

/// A typed reading of one untrusted object.
///
/// Each method takes the field's name and its limits and throws ``FieldError``. An `optional…` method gives nil when
/// the field is absent or `null`. ``finish()`` refuses the fields nobody read, by name; call it last.
package struct FieldReader: Sendable {
  /// The path of the object inside the body; empty for the body.
  package let path: String
  private let members: [String: JSONValue]
  private var seen: Set<String> = []

  /// Reads `value`, which must be an object; `path` goes before the names in errors.
  package init(_ value: JSONValue, path: String = "") throws(FieldError) {
    guard case .object(let members) = value else {
      throw FieldError(
        field: path,
        code: .wrongType,
        problem: "has the wrong type",
        came: value.kind,
        allowed: "an object"
      )
    }
    self.members = members
    self.path = path
  }

  /// The names that came, in order.
  package var names: [String] { members.keys.sorted() }

  /// True when the field came, `null` included.
  package func has(_ name: String) -> Bool { members[name] != nil }

  /// The path of a field of this object.
  package func path(_ name: String) -> String { FieldError.path(path, name) }

  /// Refuses the fields that were not read, naming them.
  package func finish() throws(FieldError) {
    guard seen.count < members.count else { return }
    let unknown = members.keys.filter { !seen.contains($0) }.sorted()
    guard let first = unknown.first else { return }
    let more = unknown.count > 1 ? " (and \(unknown.count - 1) more)" : ""
    throw FieldError(
      field: path(first),
      code: .unknown,
      problem: "is not known\(more)",
      allowed: seen.isEmpty ? "no field" : "only " + seen.sorted().joined(separator: ", ")
    )
  }

  // MARK: Any value

  /// The field as it came, or nil when it is absent or `null`.
  package mutating func optionalValue(_ name: String) -> JSONValue? {
    seen.insert(name)
    guard let value = members[name], value != .null else { return nil }
    return value
  }

  /// The field as it came; it must be there and not be `null`.
  package mutating func value(_ name: String, _ allowed: String = "a value") throws(FieldError) -> JSONValue {
    try required(optionalValue(name), name, allowed)
  }

  // MARK: Strings

  /// A string of `length` characters; one of more than 32 code points a character on average is too long as well.
  package mutating func string(_ name: String, _ length: ClosedRange<Int>) throws(FieldError) -> String {
    try required(optionalString(name, length), name, FieldRules.words(length, "character"))
  }

  package mutating func optionalString(_ name: String, _ length: ClosedRange<Int>) throws(FieldError) -> String? {
    guard let value = optionalValue(name) else { return nil }
    return try FieldRules.string(value, path(name), length)
  }

  /// A string that is one of `choices`.
  package mutating func oneOf(_ name: String, _ choices: [String]) throws(FieldError) -> String {
    try required(optionalOneOf(name, choices), name, FieldRules.words(choices))
  }

  package mutating func optionalOneOf(_ name: String, _ choices: [String]) throws(FieldError) -> String? {
    guard let value = optionalValue(name) else { return nil }
    return try FieldRules.choice(value, path(name), choices)
  }

  /// A string that is the raw value of a case.
  package mutating func oneOf<Choice: RawRepresentable & CaseIterable>(
    _ name: String,
    _ type: Choice.Type
  ) throws(FieldError) -> Choice where Choice.RawValue == String {
    try required(optionalOneOf(name, type), name, FieldRules.words(Choice.allCases.map(\.rawValue)))
  }

  package mutating func optionalOneOf<Choice: RawRepresentable & CaseIterable>(
    _ name: String,
    _ type: Choice.Type
  ) throws(FieldError) -> Choice? where Choice.RawValue == String {
    guard let raw = try optionalOneOf(name, Choice.allCases.map(\.rawValue)) else { return nil }
    return Choice(rawValue: raw)
  }

  /// A time in RFC 3339 with an offset.
  package mutating func date(_ name: String) throws(FieldError) -> Date {
    try required(optionalDate(name), name, FieldRules.dateWords)
  }

  package mutating func optionalDate(_ name: String) throws(FieldError) -> Date? {
    guard let value = optionalValue(name) else { return nil }
    return try FieldRules.date(value, path(name))
  }

  /// A UUID in its usual form.
  package mutating func uuid(_ name: String) throws(FieldError) -> UUID {
    try required(optionalUUID(name), name, "a UUID")
  }

  package mutating func optionalUUID(_ name: String) throws(FieldError) -> UUID? {
    guard let value = optionalValue(name) else { return nil }
    let text = try FieldRules.string(value, path(name), 0...64)
    guard let uuid = UUID(uuidString: text) else {
      throw FieldError(
        field: path(name),
        code: .invalid,
        problem: "is malformed",
        came: FieldError.quoted(text),
        allowed: "a UUID"
      )
    }
    return uuid
  }

  // MARK: Numbers and booleans

  package mutating func int64(
    _ name: String,
    _ range: ClosedRange<Int64> = .min ... .max
  ) throws(FieldError) -> Int64 {
    try required(optionalInt64(name, range), name, FieldRules.words(range))
  }

  package mutating func optionalInt64(
    _ name: String,
    _ range: ClosedRange<Int64> = .min ... .max
  ) throws(FieldError) -> Int64? {
    guard let value = optionalValue(name) else { return nil }
    return try FieldRules.integer(value, path(name), range)
  }

  package mutating func int(_ name: String, _ range: ClosedRange<Int>) throws(FieldError) -> Int {
    Int(try int64(name, Int64(range.lowerBound)...Int64(range.upperBound)))
  }

  package mutating func optionalInt(_ name: String, _ range: ClosedRange<Int>) throws(FieldError) -> Int? {
    try optionalInt64(name, Int64(range.lowerBound)...Int64(range.upperBound)).map(Int.init)
  }

  /// A number, integers included.
  package mutating func double(_ name: String, _ range: ClosedRange<Double>) throws(FieldError) -> Double {
    try required(
      optionalDouble(name, range),
      name,
      "a number from \(range.lowerBound) to \(range.upperBound)"
    )
  }

  package mutating func optionalDouble(_ name: String, _ range: ClosedRange<Double>) throws(FieldError) -> Double? {
    guard let value = optionalValue(name) else { return nil }
    return try FieldRules.number(value, path(name), range)
  }

  package mutating func bool(_ name: String) throws(FieldError) -> Bool {
    try required(optionalBool(name), name, "true or false")
  }

  package mutating func optionalBool(_ name: String) throws(FieldError) -> Bool? {
    guard let value = optionalValue(name) else { return nil }
    guard let bool = value.boolValue else {
      throw FieldRules.wrongType(value, path(name), "true or false")
    }
    return bool
  }

  // MARK: Nesting

  /// A reader of a nested object; call `finish` on it too.
  package mutating func object(_ name: String) throws(FieldError) -> FieldReader {
    try required(optionalObject(name), name, "an object")
  }

  package mutating func optionalObject(_ name: String) throws(FieldError) -> FieldReader? {
    guard let value = optionalValue(name) else { return nil }
    return try FieldReader(value, path: path(name))
  }

  /// The elements of an array, unread.
  package mutating func array(_ name: String, _ count: ClosedRange<Int>) throws(FieldError) -> [JSONValue] {
    try required(optionalArray(name, count), name, FieldRules.words(count, "element"))
  }

  package mutating func optionalArray(_ name: String, _ count: ClosedRange<Int>) throws(FieldError) -> [JSONValue]? {
    guard let value = optionalValue(name) else { return nil }
    return try FieldRules.array(value, path(name), count)
  }

  /// An array of objects, each with its own reader whose path ends in the index.
  package mutating func objects(_ name: String, _ count: ClosedRange<Int>) throws(FieldError) -> [FieldReader] {
    try required(optionalObjects(name, count), name, FieldRules.words(count, "element"))
  }

  package mutating func optionalObjects(
    _ name: String,
    _ count: ClosedRange<Int>
  ) throws(FieldError) -> [FieldReader]? {
    try optionalElements(name, count) { (value, path) throws(FieldError) in try FieldReader(value, path: path) }
  }

  /// An array of strings of `length` characters each.
  package mutating func strings(
    _ name: String,
    _ count: ClosedRange<Int>,
    length: ClosedRange<Int>
  ) throws(FieldError) -> [String] {
    try required(optionalStrings(name, count, length: length), name, FieldRules.words(count, "string"))
  }

  package mutating func optionalStrings(
    _ name: String,
    _ count: ClosedRange<Int>,
    length: ClosedRange<Int>
  ) throws(FieldError) -> [String]? {
    try optionalElements(name, count) { (value, path) throws(FieldError) in
      try FieldRules.string(value, path, length)
    }
  }

  /// An array of integers within `range`.
  package mutating func int64s(
    _ name: String,
    _ count: ClosedRange<Int>,
    range: ClosedRange<Int64> = .min ... .max
  ) throws(FieldError) -> [Int64] {
    try required(optionalInt64s(name, count, range: range), name, FieldRules.words(count, "integer"))
  }

  package mutating func optionalInt64s(
    _ name: String,
    _ count: ClosedRange<Int>,
    range: ClosedRange<Int64> = .min ... .max
  ) throws(FieldError) -> [Int64]? {
    try optionalElements(name, count) { (value, path) throws(FieldError) in
      try FieldRules.integer(value, path, range)
    }
  }

  /// An array whose elements `read` reads; it gets each element and its path.
  package mutating func optionalElements<Element>(
    _ name: String,
    _ count: ClosedRange<Int>,
    _ read: (JSONValue, String) throws(FieldError) -> Element
  ) throws(FieldError) -> [Element]? {
    guard let elements = try optionalArray(name, count) else { return nil }
    var result: [Element] = []
    result.reserveCapacity(elements.count)
    for (index, element) in elements.enumerated() {
      result.append(try read(element, "\(path(name))[\(index)]"))
    }
    return result
  }

  private func required<Value>(_ value: Value?, _ name: String, _ allowed: String) throws(FieldError) -> Value {
    guard let value else {
      throw FieldError(field: path(name), code: .missing, problem: "is missing", allowed: allowed)
    }
    return value
  }
}
