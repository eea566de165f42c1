package import FoundationEssentials

/// The checks behind ``FieldReader``, for single values that belong to no object.
package enum FieldRules {
  static let dateWords = "a time in RFC 3339 such as 2026-01-31T09:00:00Z"

  /// A string of `length` characters.
  package static func string(
    _ value: JSONValue,
    _ path: String,
    _ length: ClosedRange<Int>
  ) throws(FieldError) -> String {
    guard let text = value.stringValue else { throw wrongType(value, path, "a string") }
    // A character may hold any number of combining marks, so characters alone do not bound the size.
    let pointLimit = max(length.upperBound, 1).multipliedReportingOverflow(by: 32)
    let points = text.unicodeScalars.count
    if !pointLimit.overflow, points > pointLimit.partialValue {
      throw FieldError(
        field: path,
        code: .tooLong,
        problem: "is too long",
        came: "a string of \(points) code points",
        allowed: words(length, "character")
      )
    }
    let count = text.count
    guard length.contains(count) else {
      let isLong = count > length.upperBound
      throw FieldError(
        field: path,
        code: isLong ? .tooLong : .tooShort,
        problem: isLong ? "is too long" : count == 0 ? "is empty" : "is too short",
        came: "a string of \(counted(count, "character"))",
        allowed: words(length, "character")
      )
    }
    return text
  }

  /// A string that is one of `choices`.
  package static func choice(_ value: JSONValue, _ path: String, _ choices: [String]) throws(FieldError) -> String {
    guard let text = value.stringValue else { throw wrongType(value, path, words(choices)) }
    guard choices.contains(text) else {
      throw FieldError(
        field: path,
        code: .notAllowed,
        problem: "is not one of the choices",
        came: FieldError.quoted(text),
        allowed: words(choices)
      )
    }
    return text
  }

  /// A time in RFC 3339 with an offset.
  package static func date(_ value: JSONValue, _ path: String) throws(FieldError) -> Date {
    guard let text = value.stringValue else { throw wrongType(value, path, dateWords) }
    guard let date = RFC3339.parse(text) else {
      throw FieldError(
        field: path,
        code: .invalid,
        problem: "is not a time",
        came: FieldError.quoted(text),
        allowed: dateWords
      )
    }
    return date
  }

  /// An integer within `range`.
  package static func integer(
    _ value: JSONValue,
    _ path: String,
    _ range: ClosedRange<Int64>
  ) throws(FieldError) -> Int64 {
    guard let number = value.int64Value else {
      throw wrongType(value, path, words(range), came: value.doubleValue.map { "\($0)" })
    }
    guard range.contains(number) else {
      throw FieldError(
        field: path,
        code: .outOfRange,
        problem: "is out of range",
        came: "\(number)",
        allowed: words(range)
      )
    }
    return number
  }

  /// A number within `range`, integers included.
  package static func number(
    _ value: JSONValue,
    _ path: String,
    _ range: ClosedRange<Double>
  ) throws(FieldError) -> Double {
    let allowed = "a number from \(range.lowerBound) to \(range.upperBound)"
    guard let number = value.doubleValue else { throw wrongType(value, path, allowed) }
    guard range.contains(number) else {
      throw FieldError(field: path, code: .outOfRange, problem: "is out of range", came: "\(number)", allowed: allowed)
    }
    return number
  }

  /// An array of `count` elements, unread.
  package static func array(
    _ value: JSONValue,
    _ path: String,
    _ count: ClosedRange<Int>
  ) throws(FieldError) -> [JSONValue] {
    guard let elements = value.arrayValue else { throw wrongType(value, path, "an array") }
    guard count.contains(elements.count) else {
      let isLong = elements.count > count.upperBound
      throw FieldError(
        field: path,
        code: isLong ? .tooLong : .tooShort,
        problem: isLong ? "has too many elements" : "has too few elements",
        came: counted(elements.count, "element"),
        allowed: words(count, "element")
      )
    }
    return elements
  }

  static func wrongType(_ value: JSONValue, _ path: String, _ allowed: String, came: String? = nil) -> FieldError {
    FieldError(
      field: path,
      code: .wrongType,
      problem: "has the wrong type",
      came: came ?? value.kind,
      allowed: allowed
    )
  }

  static func words(_ choices: [String]) -> String {
    choices.count == 1 ? "only \(choices[0])" : "one of " + choices.joined(separator: ", ")
  }

  static func words(_ range: ClosedRange<Int>, _ noun: String) -> String {
    if range.lowerBound == range.upperBound { return "exactly \(counted(range.lowerBound, noun))" }
    return range.lowerBound == 0
      ? "at most \(counted(range.upperBound, noun))"
      : "\(range.lowerBound) to \(counted(range.upperBound, noun))"
  }

  static func words(_ range: ClosedRange<Int64>) -> String {
    switch (range.lowerBound, range.upperBound) {
    case (.min, .max): "an integer"
    case (let lower, .max): "an integer of at least \(lower)"
    case (.min, let upper): "an integer of at most \(upper)"
    case (let lower, let upper): "an integer from \(lower) to \(upper)"
    }
  }

  private static func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }
}
