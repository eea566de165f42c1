/// The parameters of a request's query, read with limits; every refusal is a 400 that names the parameter.
package struct QueryParameters: Sendable, Equatable {
  private let pairs: [Pair]

  private struct Pair: Sendable, Equatable {
    let name: String
    let value: String
  }

  /// Parses `a=1&b=2`; a plus sign is a space, and broken escapes are refused.
  package init(_ query: some StringProtocol) throws(HTTPProblem) {
    var pairs: [Pair] = []
    for part in Substring(query).split(separator: "&") {
      let equals = part.firstIndex(of: "=")
      let name = PercentCoding.decode(part[..<(equals ?? part.endIndex)], plusIsSpace: true)
      let value = equals.map { PercentCoding.decode(part[part.index(after: $0)...], plusIsSpace: true) } ?? ""
      guard let name, let value else {
        let shown = String((name.map { $0[...] } ?? part).prefix(64))
        throw .badRequest("The query parameter '\(shown)' holds a broken escape", field: shown)
      }
      pairs.append(Pair(name: name, value: value))
      guard pairs.count <= 256 else {
        throw .badRequest("The query has too many parameters; at most 256 are allowed", field: String(name.prefix(64)))
      }
    }
    self.pairs = pairs
  }

  /// The names that came, in order.
  package var names: [String] { pairs.map(\.name) }

  /// Names and values in order.
  package var list: [(String, String)] { pairs.map { ($0.name, $0.value) } }

  /// The first value of a parameter.
  package subscript(_ name: String) -> String? { pairs.first { $0.name == name }?.value }

  /// All values of a parameter, in order.
  package func all(_ name: String) -> [String] { pairs.filter { $0.name == name }.map(\.value) }

  /// Refuses parameters other than `names`.
  package func allow(only names: String...) throws(HTTPProblem) {
    guard let unknown = pairs.first(where: { !names.contains($0.name) })?.name else { return }
    let allowed = names.isEmpty ? "none is allowed" : "allowed are \(names.joined(separator: ", "))"
    throw .badRequest("The query parameter '\(unknown.prefix(64))' is not known; \(allowed)", field: unknown)
  }

  /// A string of `length` characters, or nil when it is absent.
  package func string(_ name: String, _ length: ClosedRange<Int>) throws(HTTPProblem) -> String? {
    guard let value = try single(name) else { return nil }
    guard length.contains(value.count) else {
      throw refusal(name, "has \(value.count) characters; \(length.lowerBound) to \(length.upperBound) are allowed")
    }
    return value
  }

  /// An integer in `range`, or nil when it is absent.
  package func int64(_ name: String, _ range: ClosedRange<Int64> = .min ... .max) throws(HTTPProblem) -> Int64? {
    guard let value = try single(name) else { return nil }
    guard let number = Int64(value), range.contains(number) else {
      throw refusal(name, "must be an integer from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  /// An integer in `range`, or nil when it is absent.
  package func int(_ name: String, _ range: ClosedRange<Int>) throws(HTTPProblem) -> Int? {
    try int64(name, Int64(range.lowerBound)...Int64(range.upperBound)).map(Int.init)
  }

  /// `true` or `false`, or nil when it is absent.
  package func bool(_ name: String) throws(HTTPProblem) -> Bool? {
    switch try single(name) {
    case nil: nil
    case "true", "1": true
    case "false", "0": false
    default: throw refusal(name, "must be true or false")
    }
  }

  /// One of the raw values of a type, or nil when it is absent.
  package func oneOf<Choice: RawRepresentable & CaseIterable>(
    _ name: String,
    _ type: Choice.Type
  ) throws(HTTPProblem) -> Choice? where Choice.RawValue == String {
    guard let value = try single(name) else { return nil }
    guard let choice = Choice(rawValue: value) else {
      throw refusal(name, "must be one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return choice
  }

  private func single(_ name: String) throws(HTTPProblem) -> String? {
    let values = all(name)
    guard values.count <= 1 else { throw refusal(name, "came \(values.count) times; once is allowed") }
    return values.first
  }

  private func refusal(_ name: String, _ text: String) -> HTTPProblem {
    .badRequest("The query parameter '\(name)' \(text)", field: name)
  }
}
