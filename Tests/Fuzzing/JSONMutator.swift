package import JSONDocument

/// Puts faults into good JSON values; what comes out is JSON again.
package struct JSONMutator: Sendable {
  /// Values that stand in the wrong place.
  private let strangers: [JSONValue]
  private let names: [String]

  private static let odd: [JSONValue] = [
    .null, .bool(true), .bool(false), .int(0), .int(-1), .int(1), .int(.max), .int(.min), .int(1 << 32), .int(65_536),
    .double(0.5), .double(-1e308), .double(.leastNonzeroMagnitude), .string(""), .string(" "), .string("é\u{301}"),
    .string("\u{7F}\u{1B}"), .string("../../etc"), .string("a\nb"), .string(String(repeating: "x", count: 3_000)),
    .string(String(repeating: "\u{301}", count: 300)), .string("https://[::1"), .string("\u{202E}"),
    .string("9999-99-99T99:99:99Z"), .string("{}{}"), .array([]), .object([:]), .array([.null]),
    .object(["": .null, "é": .int(1)]), .array(Array(repeating: .int(1), count: 300)),
  ]

  /// Takes strange values and names from `samples` as well.
  package init(samples: [JSONValue]) {
    var strangers = Self.odd
    var names: Set<String> = ["", "unknown", "a.b", "\u{FEFF}id"]
    for sample in samples { Self.collect(sample, &strangers, &names) }
    self.strangers = strangers
    self.names = names.sorted()
  }

  private static func collect(_ value: JSONValue, _ values: inout [JSONValue], _ names: inout Set<String>) {
    values.append(value)
    switch value {
    case .array(let elements): for element in elements { collect(element, &values, &names) }
    case .object(let members):
      names.formUnion(members.keys)
      for (_, member) in members.sorted(by: { $0.key < $1.key }) { collect(member, &values, &names) }
    default: break
    }
  }

  /// The value with up to `faults` faults.
  package func mutate(_ value: JSONValue, faults: ClosedRange<Int> = 0...3, _ random: inout FuzzRandom) -> JSONValue {
    var value = value
    for _ in 0..<Int.random(in: faults, using: &random) { value = broken(value, &random) }
    return value
  }

  private func broken(_ value: JSONValue, _ random: inout FuzzRandom) -> JSONValue {
    switch value {
    case .object(var members) where !members.isEmpty && random.index(12) != 0:
      let name = random.one(of: members.keys.sorted())
      switch random.index(8) {
      case 0: members[name] = nil
      case 1: members[random.one(of: names)] = random.one(of: strangers)
      case 2: members[random.one(of: names)] = members.removeValue(forKey: name)
      default: members[name] = members[name].map { broken($0, &random) }
      }
      return .object(members)
    case .array(var elements) where !elements.isEmpty && random.index(12) != 0:
      let place = random.index(elements.count)
      switch random.index(8) {
      case 0: elements.remove(at: place)
      case 1: elements.insert(random.one(of: strangers), at: place)
      case 2: elements.insert(elements[place], at: 0)
      default: elements[place] = broken(elements[place], &random)
      }
      return .array(elements)
    case .string(let text) where random.index(2) == 0:
      let bytes = ByteMutator.json.mutate(Array(text.utf8), with: Array(text.utf8), faults: 1...2, &random)
      return .string(String(decoding: bytes, as: UTF8.self))
    case .int(let number) where random.index(2) == 0:
      return .int(number &+ Int64.random(in: -2...2, using: &random))
    default: return random.one(of: strangers)
    }
  }
}
