import JSONDocument

@testable import AdminAPI

extension Schema {
  /// A value that the schema allows, with every member.
  var sample: JSONValue {
    switch self {
    case .string(let length, let format):
      format == "uri" ? "https://a.example/b" : .string(String(repeating: "a", count: max(1, length.lowerBound)))
    case .choice(let choices): .string(choices[0])
    case .integer(let range): .int(range.contains(1) ? 1 : range.lowerBound)
    case .number: 0.5
    case .boolean: true
    case .instant: "2027-01-31T09:00:00Z"
    case .array(let element, let count): .array(Array(repeating: element.sample, count: max(1, count.lowerBound)))
    case .object(let fields):
      .object(Dictionary(fields.map { ($0.name, $0.schema.sample) }) { first, _ in first })
    case .map(let element, _): .object(["a": element.sample])
    case .any, .named: .object(["a": [1, "b", .null]])
    case .nullable(let schema): schema.sample
    }
  }
}
