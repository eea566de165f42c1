package import FoundationEssentials

/// A type whose values may stand in a log record.
///
/// Types that hold secrets never conform, so a secret cannot be logged by mistake: it does not compile.
package protocol LogConvertible: Sendable {
  var logValue: LogValue { get }
}

/// One value of a log record's fields.
package struct LogValue: Sendable, Equatable, LogConvertible {
  package enum Storage: Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int64)
    case double(Double)
    case string(String)
  }

  package let storage: Storage

  package init(_ storage: Storage) {
    self.storage = storage
  }

  /// Keeps the value's text.
  package init(_ value: String) {
    self.init(.string(value))
  }

  /// Keeps the value as a whole number, or as text when it is above `Int64.max`.
  package init(_ value: some FixedWidthInteger) {
    self.init(Int64(exactly: value).map(Storage.integer) ?? .string(String(value)))
  }

  package init(_ value: Bool) {
    self.init(.bool(value))
  }

  package init(_ value: Double) {
    self.init(.double(value))
  }

  /// Keeps the error's description, which must be safe to log.
  package init(_ error: any Error) {
    self.init(.string(String(describing: error)))
  }

  package var logValue: LogValue { self }
}

extension LogValue: ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
  ExpressibleByBooleanLiteral
{
  package init(stringLiteral value: String) {
    self.init(.string(value))
  }

  package init(integerLiteral value: Int64) {
    self.init(.integer(value))
  }

  package init(floatLiteral value: Double) {
    self.init(.double(value))
  }

  package init(booleanLiteral value: Bool) {
    self.init(.bool(value))
  }
}

extension LogValue: CustomStringConvertible {
  package var description: String {
    switch storage {
    case .null: "null"
    case .bool(let value): String(value)
    case .integer(let value): String(value)
    case .double(let value): String(value)
    case .string(let value): value
    }
  }
}

extension LogConvertible where Self == LogValue {
  package static var null: LogValue { LogValue(.null) }
  package static func bool(_ value: Bool) -> LogValue { LogValue(value) }
  package static func int(_ value: some FixedWidthInteger) -> LogValue { LogValue(value) }
  package static func integer(_ value: some FixedWidthInteger) -> LogValue { LogValue(value) }
  package static func double(_ value: Double) -> LogValue { LogValue(value) }
  package static func string(_ value: String) -> LogValue { LogValue(value) }
  package static func error(_ value: any Error) -> LogValue { LogValue(value) }
}

extension String: LogConvertible {
  package var logValue: LogValue { LogValue(self) }
}

extension Substring: LogConvertible {
  package var logValue: LogValue { LogValue(String(self)) }
}

extension Bool: LogConvertible {
  package var logValue: LogValue { LogValue(self) }
}

extension Double: LogConvertible {
  package var logValue: LogValue { LogValue(self) }
}

extension Int: LogConvertible {
  package var logValue: LogValue { LogValue(self) }
}

extension Int16: LogConvertible {
  package var logValue: LogValue { LogValue(self) }
}

extension Int32: LogConvertible {
  package var logValue: LogValue { LogValue(self) }
}

extension Int64: LogConvertible {
  package var logValue: LogValue { LogValue(self) }
}

extension UInt16: LogConvertible {
  package var logValue: LogValue { LogValue(self) }
}

extension UInt32: LogConvertible {
  package var logValue: LogValue { LogValue(self) }
}

extension UInt64: LogConvertible {
  package var logValue: LogValue { LogValue(self) }
}

extension UUID: LogConvertible {
  package var logValue: LogValue { LogValue(uuidString) }
}

extension Duration: LogConvertible {
  /// The duration in milliseconds.
  package var logValue: LogValue {
    let parts = components
    return LogValue(Double(parts.seconds) * 1_000 + Double(parts.attoseconds) / 1e15)
  }
}

extension Optional: LogConvertible where Wrapped: LogConvertible {
  package var logValue: LogValue { self?.logValue ?? LogValue(.null) }
}
