/// A request to the control interface that cannot be understood.
struct ControlError: Error, Sendable {
  let status: Int
  let message: String

  init(_ message: String, status: Int = 400) {
    self.status = status
    self.message = message
  }
}

/// Reads the members of one object and refuses those nobody asked for, so that a misspelt fault is an error.
struct ObjectReader {
  private let members: [JSON.Member]
  private let place: String
  private var seen: Set<String> = []

  /// - Parameter place: where the object lies, for messages; empty for the whole body.
  init(_ json: JSON, at place: String = "") throws(ControlError) {
    guard case .object(let members) = json else {
      throw ControlError("\(place.isEmpty ? "the body" : place) must be an object, came \(json.kind)")
    }
    self.members = members
    self.place = place
  }

  func path(_ name: String) -> String { place.isEmpty ? name : "\(place).\(name)" }

  /// The value; an explicit `null` counts as absent.
  mutating func value(_ name: String) -> JSON? {
    seen.insert(name)
    let value = members.first { $0.name == name }?.value
    return value == .null ? nil : value
  }

  mutating func string(_ name: String) throws(ControlError) -> String? {
    guard let value = value(name) else { return nil }
    guard let text = value.string else { throw ControlError("\(path(name)) must be a string, came \(value.kind)") }
    return text
  }

  mutating func requiredString(_ name: String) throws(ControlError) -> String {
    guard let text = try string(name) else { throw ControlError("\(path(name)) is missing") }
    return text
  }

  mutating func bool(_ name: String) throws(ControlError) -> Bool? {
    guard let value = value(name) else { return nil }
    guard let flag = value.bool else { throw ControlError("\(path(name)) must be true or false, came \(value.kind)") }
    return flag
  }

  mutating func integer(_ name: String, in range: ClosedRange<Int>) throws(ControlError) -> Int? {
    guard let value = value(name) else { return nil }
    guard let number = value.integer, range.contains(number) else {
      throw ControlError("\(path(name)) must be a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  mutating func number(_ name: String, in range: ClosedRange<Double>) throws(ControlError) -> Double? {
    guard let value = value(name) else { return nil }
    guard let number = value.double, range.contains(number) else {
      throw ControlError("\(path(name)) must be a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  mutating func array(_ name: String) throws(ControlError) -> [JSON]? {
    guard let value = value(name) else { return nil }
    guard let values = value.array else { throw ControlError("\(path(name)) must be a list, came \(value.kind)") }
    return values
  }

  /// Refuses members that were not read.
  func finish() throws(ControlError) {
    let unknown = members.map(\.name).filter { !seen.contains($0) }
    guard unknown.isEmpty else {
      throw ControlError(
        "unknown: \(unknown.map(path).joined(separator: ", ")); known: \(seen.sorted().joined(separator: ", "))"
      )
    }
  }
}
