/// The object id of a PostgreSQL data type.
package struct PostgresType: RawRepresentable, Hashable, Sendable {
  package let rawValue: UInt32

  package init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  package static let bool = PostgresType(rawValue: 16)
  package static let bytea = PostgresType(rawValue: 17)
  package static let char = PostgresType(rawValue: 18)
  package static let name = PostgresType(rawValue: 19)
  package static let int8 = PostgresType(rawValue: 20)
  package static let int2 = PostgresType(rawValue: 21)
  package static let int4 = PostgresType(rawValue: 23)
  package static let text = PostgresType(rawValue: 25)
  package static let oid = PostgresType(rawValue: 26)
  package static let json = PostgresType(rawValue: 114)
  package static let float4 = PostgresType(rawValue: 700)
  package static let float8 = PostgresType(rawValue: 701)
  package static let unknown = PostgresType(rawValue: 705)
  package static let bpchar = PostgresType(rawValue: 1042)
  package static let varchar = PostgresType(rawValue: 1043)
  package static let date = PostgresType(rawValue: 1082)
  package static let timestamp = PostgresType(rawValue: 1114)
  package static let timestamptz = PostgresType(rawValue: 1184)
  package static let interval = PostgresType(rawValue: 1186)
  package static let numeric = PostgresType(rawValue: 1700)
  package static let uuid = PostgresType(rawValue: 2950)
  package static let jsonb = PostgresType(rawValue: 3802)

  package static let boolArray = PostgresType(rawValue: 1000)
  package static let byteaArray = PostgresType(rawValue: 1001)
  package static let nameArray = PostgresType(rawValue: 1003)
  package static let int2Array = PostgresType(rawValue: 1005)
  package static let int4Array = PostgresType(rawValue: 1007)
  package static let textArray = PostgresType(rawValue: 1009)
  package static let varcharArray = PostgresType(rawValue: 1015)
  package static let int8Array = PostgresType(rawValue: 1016)
  package static let float8Array = PostgresType(rawValue: 1022)
  package static let timestamptzArray = PostgresType(rawValue: 1185)
  package static let uuidArray = PostgresType(rawValue: 2951)
  package static let jsonbArray = PostgresType(rawValue: 3807)

  /// Whether the binary form of a value is its text, as for text types and enumerations of a schema.
  var isText: Bool {
    switch self {
    case .text, .varchar, .bpchar, .name, .char, .unknown, .json: true
    // The first object id of types that users define; an enumeration is sent as its label.
    default: rawValue >= 16_384
    }
  }
}

extension PostgresType: CustomStringConvertible {
  package var description: String {
    switch self {
    case .bool: "bool"
    case .bytea: "bytea"
    case .char: "\"char\""
    case .name: "name"
    case .int8: "int8"
    case .int2: "int2"
    case .int4: "int4"
    case .text: "text"
    case .oid: "oid"
    case .json: "json"
    case .float4: "float4"
    case .float8: "float8"
    case .unknown: "unknown"
    case .bpchar: "bpchar"
    case .varchar: "varchar"
    case .date: "date"
    case .timestamp: "timestamp"
    case .timestamptz: "timestamptz"
    case .interval: "interval"
    case .numeric: "numeric"
    case .uuid: "uuid"
    case .jsonb: "jsonb"
    case .boolArray: "bool[]"
    case .byteaArray: "bytea[]"
    case .nameArray: "name[]"
    case .int2Array: "int2[]"
    case .int4Array: "int4[]"
    case .textArray: "text[]"
    case .varcharArray: "varchar[]"
    case .int8Array: "int8[]"
    case .float8Array: "float8[]"
    case .timestamptzArray: "timestamptz[]"
    case .uuidArray: "uuid[]"
    case .jsonbArray: "jsonb[]"
    default: "type \(rawValue)"
    }
  }
}
