import JSONDocument

/// Reads the outcome table of one rule.
struct OutcomeParser {
  let collector: ProblemCollector

  func clauses(_ reader: inout ObjectReader) -> [OutcomeClause] {
    reader.elements("outcome", atMost: 32).compactMap { place, value in
      guard var object = ObjectReader(value, path: place, collector: collector) else { return nil }
      return clause(&object)
    }
  }

  private func clause(_ reader: inout ObjectReader) -> OutcomeClause? {
    var statuses: Set<Int> = []
    for (place, value) in reader.elements("status", atMost: 32, required: true) {
      guard case .int(let number) = value, (200...599).contains(number), let status = Int(exactly: number) else {
        collector.add(place, "bad value", came: value.shown, allowed: "a status from 200 to 599")
        continue
      }
      statuses.insert(status)
    }
    let condition = condition(&reader)
    let outcome = reader.choice("class", OutcomeClause.Class.self)
    reader.finish()
    guard !statuses.isEmpty else {
      reader.report("status", "no status named", allowed: "at least one status from 200 to 599")
      return nil
    }
    guard let condition, let outcome else { return nil }
    return OutcomeClause(statuses: statuses, condition: condition, outcome: outcome)
  }

  private func condition(_ reader: inout ObjectReader) -> OutcomeClause.Condition? {
    let pointer = reader.optionalString("pointer", 1...200, allowed: "a JSON pointer", where: isJSONPointer)
    let tests = ["equals", "notEquals", "exists"].compactMap { name in reader.value(name).map { (name, $0) } }
    guard let pointer else {
      if let test = tests.first { reader.report(test.0, "needs a pointer") }
      return .always
    }
    guard tests.count == 1, let (name, value) = tests.first else {
      reader.report("pointer", "needs one test", allowed: "equals, notEquals or exists, exactly one")
      return nil
    }
    if name == "exists" {
      guard case .bool(let isExpected) = value else {
        reader.report(name, "wrong type", came: value.shown, allowed: "true | false")
        return nil
      }
      return .exists(pointer: pointer, isExpected)
    }
    switch value {
    case .array, .object, .double:
      reader.report(name, "wrong type", came: value.shown, allowed: "text, a whole number, true, false or null")
      return nil
    default:
      return name == "equals" ? .equals(pointer: pointer, value) : .notEquals(pointer: pointer, value)
    }
  }
}

/// A JSON pointer with at least one step and only valid escapes.
func isJSONPointer(_ text: String) -> Bool {
  guard text.hasPrefix("/"), text.utf8.count > 1 else { return false }
  var afterTilde = false
  for byte in text.utf8 {
    if afterTilde {
      guard byte == UInt8(ascii: "0") || byte == UInt8(ascii: "1") else { return false }
      afterTilde = false
    } else {
      afterTilde = byte == UInt8(ascii: "~")
    }
  }
  return !afterTilde
}
