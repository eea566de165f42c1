import JSONDocument

extension Schema {
  /// The schema in the words of OpenAPI 3.1.
  var openAPI: JSONValue {
    switch self {
    case .string(let length, let format):
      var members: [String: JSONValue] = [
        "type": "string", "minLength": .int(Int64(length.lowerBound)), "maxLength": .int(Int64(length.upperBound)),
      ]
      if let format { members["format"] = .string(format) }
      if format == "uri" { members["pattern"] = "^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$" }
      return .object(members)
    case .choice(let choices): return ["type": "string", "enum": .array(choices.map { .string($0) })]
    case .integer(let range):
      return [
        "type": "integer", "format": "int64", "minimum": .int(range.lowerBound), "maximum": .int(range.upperBound),
      ]
    case .number: return ["type": "number"]
    case .boolean: return ["type": "boolean"]
    case .instant: return ["type": "string", "format": "date-time"]
    case .array(let element, let count):
      return [
        "type": "array", "items": element.openAPI, "minItems": .int(Int64(count.lowerBound)),
        "maxItems": .int(Int64(count.upperBound)),
      ]
    case .object(let fields): return Self.object(fields)
    case .map(let element, let limit):
      return ["type": "object", "additionalProperties": element.openAPI, "maxProperties": .int(Int64(limit))]
    case .any: return [:]
    case .nullable(let schema): return ["anyOf": [schema.openAPI, ["type": "null"]]]
    case .named(let name): return ["$ref": .string("#/components/schemas/\(name)")]
    }
  }

  private static func object(_ fields: [Field]) -> JSONValue {
    var properties: [String: JSONValue] = [:]
    for field in fields {
      var property = field.schema.openAPI.objectValue ?? [:]
      if let about = field.about { property["description"] = .string(about) }
      properties[field.name] = .object(property)
    }
    var members: [String: JSONValue] = [
      "type": "object", "properties": .object(properties), "additionalProperties": false,
    ]
    let required = fields.filter(\.isRequired).map { JSONValue.string($0.name) }
    if !required.isEmpty { members["required"] = .array(required) }
    return .object(members)
  }
}
