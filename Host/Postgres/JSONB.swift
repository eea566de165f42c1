/// A JSON text bound to or read from a `jsonb` (or read from a `json`) column.
///
/// The text is not checked here; the server refuses text that is not JSON.
package struct JSONB: Hashable, Sendable {
  package let text: String

  package init(text: String) {
    self.text = text
  }
}

extension JSONB: PostgresScalar {
  package static var postgresType: PostgresType { .jsonb }
  package static var postgresArrayType: PostgresType { .jsonbArray }

  package func encode(into buffer: inout [UInt8]) -> Bool {
    buffer.append(1)
    buffer.append(contentsOf: text.utf8)
    return true
  }

  package static func decode(_ cell: Cell) -> JSONB? {
    switch cell.type {
    case .jsonb:
      guard cell.byte(at: 0) == 1 else { return nil }
      return cell.string(from: 1).map(JSONB.init(text:))
    case .json:
      return cell.string(from: 0).map(JSONB.init(text:))
    default:
      return nil
    }
  }
}
