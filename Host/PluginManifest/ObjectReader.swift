import JSONDocument

/// Collects the problems of one document, so that an author sees all of them at once.
///
/// Used by one parse on one task.
final class ProblemCollector {
  private(set) var problems: [ManifestProblem] = []
  /// The members that were asked for, by the place of their object: what the format knows.
  private(set) var members: [String: Set<String>] = [:]

  func add(_ path: String, _ problem: String, came: String = "", allowed: String = "") {
    problems.append(ManifestProblem(path: path, problem: problem, came: came, allowed: allowed))
  }

  func note(_ names: [String], of path: String) {
    members[path, default: []].formUnion(names)
  }
}

/// Reads the fields of one JSON object and reports what does not fit; a nil result has been reported.
struct ObjectReader {
  let path: String
  let collector: ProblemCollector
  private let fields: [String: JSONValue]
  private var asked: [String] = []

  /// Reports and returns nil if the value is no object.
  init?(_ value: JSONValue, path: String, collector: ProblemCollector) {
    guard let fields = value.objectValue else {
      collector.add(path, "wrong type", came: value.shown, allowed: "an object")
      return nil
    }
    self.path = path
    self.collector = collector
    self.fields = fields
  }

  /// Names of all fields, sorted.
  var names: [String] { fields.keys.sorted() }

  func place(_ name: String) -> String { FieldError.path(path, name) }

  /// The value of a field without judging it; nil if absent.
  mutating func value(_ name: String) -> JSONValue? {
    asked.append(name)
    return fields[name]
  }

  func report(_ name: String, _ problem: String, came: String = "", allowed: String = "") {
    collector.add(place(name), problem, came: came, allowed: allowed)
  }

  /// The value of a required field; absence is reported.
  mutating func required(_ name: String, allowed: String) -> JSONValue? {
    if let value = value(name) { return value }
    report(name, "missing", allowed: allowed)
    return nil
  }

  mutating func string(
    _ name: String,
    _ lengths: ClosedRange<Int>,
    allowed: String? = nil,
    where test: (String) -> Bool = { _ in true }
  ) -> String? {
    let allowed = allowed ?? "text of \(lengths.lowerBound) to \(lengths.upperBound) bytes"
    guard let value = required(name, allowed: allowed) else { return nil }
    return check(value, place(name), lengths, allowed, test)
  }

  mutating func optionalString(
    _ name: String,
    _ lengths: ClosedRange<Int>,
    allowed: String? = nil,
    where test: (String) -> Bool = { _ in true }
  ) -> String? {
    guard let value = value(name) else { return nil }
    let allowed = allowed ?? "text of \(lengths.lowerBound) to \(lengths.upperBound) bytes"
    return check(value, place(name), lengths, allowed, test)
  }

  private func check(
    _ value: JSONValue,
    _ place: String,
    _ lengths: ClosedRange<Int>,
    _ allowed: String,
    _ test: (String) -> Bool
  ) -> String? {
    guard case .string(let text) = value else {
      collector.add(place, "wrong type", came: value.shown, allowed: allowed)
      return nil
    }
    guard lengths.contains(text.utf8.count), test(text), !text.unicodeScalars.contains(where: { $0.value < 32 }) else {
      collector.add(place, "bad value", came: value.shown, allowed: allowed)
      return nil
    }
    return text
  }

  mutating func choice<Choice: RawRepresentable & CaseIterable>(_ name: String, _: Choice.Type) -> Choice?
  where Choice.RawValue == String {
    let allowed = Choice.allCases.map(\.rawValue).joined(separator: " | ")
    guard let value = required(name, allowed: allowed) else { return nil }
    guard case .string(let text) = value, let choice = Choice(rawValue: text) else {
      report(name, "bad value", came: value.shown, allowed: allowed)
      return nil
    }
    return choice
  }

  mutating func choice<Choice: RawRepresentable & CaseIterable>(_ name: String, default fallback: Choice) -> Choice
  where Choice.RawValue == String {
    guard fields[name] != nil else {
      asked.append(name)
      return fallback
    }
    return choice(name, Choice.self) ?? fallback
  }

  mutating func integer(_ name: String, _ range: ClosedRange<Int>) -> Int? {
    let allowed = "a whole number from \(range.lowerBound) to \(range.upperBound)"
    guard let value = required(name, allowed: allowed) else { return nil }
    guard case .int(let number) = value, let number = Int(exactly: number), range.contains(number) else {
      report(name, "bad value", came: value.shown, allowed: allowed)
      return nil
    }
    return number
  }

  mutating func optionalInteger(_ name: String, _ range: ClosedRange<Int>) -> Int? {
    guard fields[name] != nil else {
      asked.append(name)
      return nil
    }
    return integer(name, range)
  }

  mutating func number(_ name: String, _ range: ClosedRange<Double>, default fallback: Double) -> Double {
    guard let value = value(name) else { return fallback }
    guard let number = value.doubleValue, range.contains(number) else {
      report(
        name,
        "bad value",
        came: value.shown,
        allowed: "a number from \(range.lowerBound) to \(range.upperBound)"
      )
      return fallback
    }
    return number
  }

  mutating func flag(_ name: String) -> Bool {
    guard let value = value(name) else { return false }
    guard case .bool(let flag) = value else {
      report(name, "wrong type", came: value.shown, allowed: "true | false")
      return false
    }
    return flag
  }

  /// Elements with their places; an absent field is an empty list unless `required`.
  mutating func elements(_ name: String, atMost limit: Int, required isRequired: Bool = false) -> [(String, JSONValue)]
  {
    let allowed = "a list of at most \(limit)"
    guard let value = isRequired ? required(name, allowed: allowed) : value(name) else { return [] }
    guard case .array(let elements) = value, elements.count <= limit else {
      report(name, "wrong type or length", came: value.shown, allowed: allowed)
      return []
    }
    return elements.enumerated().map { ("\(place(name))[\($0.offset)]", $0.element) }
  }

  /// A list of distinct strings that pass `test`.
  mutating func strings(
    _ name: String,
    atMost limit: Int,
    required: Bool = false,
    allowed: String,
    where test: (String) -> Bool
  ) -> [String] {
    var result: [String] = []
    for (place, value) in elements(name, atMost: limit, required: required) {
      guard let text = check(value, place, 1...512, allowed, test) else { continue }
      if result.contains(text) {
        collector.add(place, "repeated", came: value.shown)
      } else {
        result.append(text)
      }
    }
    return result
  }

  /// A nested object; nil if absent or reported.
  mutating func object(_ name: String, required isRequired: Bool = false) -> ObjectReader? {
    guard let value = isRequired ? required(name, allowed: "an object") : value(name) else { return nil }
    return ObjectReader(value, path: place(name), collector: collector)
  }

  /// Reports every field nobody asked for.
  func finish() {
    collector.note(asked, of: path)
    let unknown = fields.keys.filter { !asked.contains($0) }.sorted()
    for name in unknown {
      report(name, "unknown field", allowed: Set(asked).sorted().joined(separator: ", "))
    }
  }
}

extension JSONValue {
  /// A short form for messages: at most 60 characters, containers by kind only.
  var shown: String {
    switch self {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .int(let value): "\(value)"
    case .double(let value): "\(value)"
    case .string(let text): "\"\(Self.shortened(text))\""
    case .array(let elements): "a list of \(elements.count)"
    case .object: "an object"
    }
  }

  private static func shortened(_ text: String) -> String {
    let plain = String(text.unicodeScalars.prefix(60).map { $0.value < 32 ? "\u{FFFD}" : Character($0) })
    return plain.unicodeScalars.count < text.unicodeScalars.count ? plain + "…" : plain
  }
}
