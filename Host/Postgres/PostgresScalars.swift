package import FoundationEssentials

extension Bool: PostgresScalar {
  package static var postgresType: PostgresType { .bool }
  package static var postgresArrayType: PostgresType { .boolArray }

  package func encode(into buffer: inout [UInt8]) -> Bool {
    buffer.append(self ? 1 : 0)
    return true
  }

  package static func decode(_ cell: Cell) -> Bool? {
    guard cell.type == .bool, let byte = cell.byte(at: 0) else { return nil }
    return byte != 0
  }
}

extension Int16: PostgresScalar {
  package static var postgresType: PostgresType { .int2 }
  package static var postgresArrayType: PostgresType { .int2Array }

  package func encode(into buffer: inout [UInt8]) -> Bool {
    buffer.appendBigEndian(self)
    return true
  }

  package static func decode(_ cell: Cell) -> Int16? {
    cell.anyInteger().flatMap(Int16.init(exactly:))
  }
}

extension Int32: PostgresScalar {
  package static var postgresType: PostgresType { .int4 }
  package static var postgresArrayType: PostgresType { .int4Array }

  package func encode(into buffer: inout [UInt8]) -> Bool {
    buffer.appendBigEndian(self)
    return true
  }

  package static func decode(_ cell: Cell) -> Int32? {
    cell.anyInteger().flatMap(Int32.init(exactly:))
  }
}

extension Int64: PostgresScalar {
  package static var postgresType: PostgresType { .int8 }
  package static var postgresArrayType: PostgresType { .int8Array }

  package func encode(into buffer: inout [UInt8]) -> Bool {
    buffer.appendBigEndian(self)
    return true
  }

  package static func decode(_ cell: Cell) -> Int64? {
    cell.anyInteger()
  }
}

extension Int: PostgresScalar {
  package static var postgresType: PostgresType { .int8 }
  package static var postgresArrayType: PostgresType { .int8Array }

  package func encode(into buffer: inout [UInt8]) -> Bool {
    buffer.appendBigEndian(Int64(self))
    return true
  }

  package static func decode(_ cell: Cell) -> Int? {
    cell.anyInteger().flatMap(Int.init(exactly:))
  }
}

extension Double: PostgresScalar {
  package static var postgresType: PostgresType { .float8 }
  package static var postgresArrayType: PostgresType { .float8Array }

  package func encode(into buffer: inout [UInt8]) -> Bool {
    buffer.appendBigEndian(bitPattern)
    return true
  }

  package static func decode(_ cell: Cell) -> Double? {
    switch cell.type {
    case .float8: cell.integer(UInt64.self, at: 0).map(Double.init(bitPattern:))
    case .float4: cell.integer(UInt32.self, at: 0).map { Double(Float(bitPattern: $0)) }
    default: nil
    }
  }
}

/// A string is bound as `text`: cast in the statement where the column is an enumeration or a uuid.
extension String: PostgresScalar {
  package static var postgresType: PostgresType { .text }
  package static var postgresArrayType: PostgresType { .textArray }

  package func encode(into buffer: inout [UInt8]) -> Bool {
    buffer.append(contentsOf: utf8)
    return true
  }

  package static func decode(_ cell: Cell) -> String? {
    if cell.type == .jsonb {
      return JSONB.decode(cell)?.text
    }
    return cell.type.isText ? cell.string(from: 0) : nil
  }
}

extension UUID: PostgresScalar {
  package static var postgresType: PostgresType { .uuid }
  package static var postgresArrayType: PostgresType { .uuidArray }

  package func encode(into buffer: inout [UInt8]) -> Bool {
    unsafe Swift.withUnsafeBytes(of: uuid) { unsafe buffer.append(contentsOf: $0) }
    return true
  }

  package static func decode(_ cell: Cell) -> UUID? {
    guard cell.type == .uuid, cell.count == 16 else { return nil }
    guard let high = cell.integer(UInt64.self, at: 0), let low = cell.integer(UInt64.self, at: 8) else { return nil }
    func byte(_ word: UInt64, _ place: UInt64) -> UInt8 {
      UInt8(truncatingIfNeeded: word >> (56 - 8 * place))
    }
    return UUID(
      uuid: (
        byte(high, 0), byte(high, 1), byte(high, 2), byte(high, 3),
        byte(high, 4), byte(high, 5), byte(high, 6), byte(high, 7),
        byte(low, 0), byte(low, 1), byte(low, 2), byte(low, 3),
        byte(low, 4), byte(low, 5), byte(low, 6), byte(low, 7)
      )
    )
  }
}

/// An instant is bound as `timestamptz`, rounded to microseconds; an infinite one as infinity, NaN as NULL.
extension Date: PostgresScalar {
  package static var postgresType: PostgresType { .timestamptz }
  package static var postgresArrayType: PostgresType { .timestamptzArray }

  /// Microseconds between 2000-01-01 (PostgreSQL) and 2001-01-01 (Swift).
  private static let epochDistance: Int64 = 31_622_400_000_000

  package func encode(into buffer: inout [UInt8]) -> Bool {
    let seconds = timeIntervalSinceReferenceDate
    guard !seconds.isNaN else { return false }
    // The server's calendar ends near the year 294276; what lies beyond can only mean "never" and "always".
    let limit = 9.2e12
    if seconds > limit {
      buffer.appendBigEndian(Int64.max)
    } else if seconds < -limit {
      buffer.appendBigEndian(Int64.min)
    } else {
      // Whole seconds apart from the fraction, which would lose its last digits in one multiplication.
      let whole = seconds.rounded(.down)
      let fraction = ((seconds - whole) * 1_000_000).rounded()
      buffer.appendBigEndian(Int64(whole) * 1_000_000 + Int64(fraction) + Date.epochDistance)
    }
    return true
  }

  package static func decode(_ cell: Cell) -> Date? {
    guard cell.type == .timestamptz, let microseconds = cell.integer(Int64.self, at: 0) else { return nil }
    switch microseconds {
    case .max: return Date(timeIntervalSinceReferenceDate: .infinity)
    case .min: return Date(timeIntervalSinceReferenceDate: -.infinity)
    default:
      let (shifted, overflow) = microseconds.subtractingReportingOverflow(epochDistance)
      guard !overflow else { return nil }
      let (whole, fraction) = shifted.quotientAndRemainder(dividingBy: 1_000_000)
      return Date(timeIntervalSinceReferenceDate: Double(whole) + Double(fraction) / 1_000_000)
    }
  }
}

/// An array of bytes is one `bytea`, not an array in PostgreSQL.
extension UInt8: PostgresArrayElement {
  package static var postgresArrayType: PostgresType { .bytea }

  package static func encodeArray(_ elements: [UInt8], into buffer: inout [UInt8]) {
    buffer.append(contentsOf: elements)
  }

  package static func decodeArray(_ cell: Cell) -> [UInt8]? {
    cell.type == .bytea || cell.type.isText ? cell.bytes(from: 0) : nil
  }
}

extension Array: PostgresArrayElement where Element == UInt8 {
  package static var postgresArrayType: PostgresType { .byteaArray }

  package static func encodeArray(_ elements: [[UInt8]], into buffer: inout [UInt8]) {
    ArrayCoding.encode(elements, of: .bytea, into: &buffer)
  }

  package static func decodeArray(_ cell: Cell) -> [[UInt8]]? {
    ArrayCoding.decode(cell)
  }
}

extension Array: PostgresScalar where Element == UInt8 {}
