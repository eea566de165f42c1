/// Writes a log record as one line of JSON.
enum JSONLine {
  /// Longer strings are cut, so that one record stays a bounded line.
  static let maximumStringBytes = 16_384

  static func append(_ record: LogRecord, to line: inout [UInt8]) {
    line.append(contentsOf: "{\"time\":\"".utf8)
    appendTime(record.time, to: &line)
    line.append(contentsOf: "\",\"level\":\"".utf8)
    line.append(contentsOf: record.level.name.utf8)
    line.append(contentsOf: "\",\"message\":".utf8)
    appendString(record.message, to: &line)
    for field in record.fields.all {
      line.append(UInt8(ascii: ","))
      appendString(reserved.contains(field.name) ? "field_" + field.name : field.name, to: &line)
      line.append(UInt8(ascii: ":"))
      appendValue(field.value, to: &line)
    }
    line.append(contentsOf: "}\n".utf8)
  }

  private static let reserved: Set<String> = ["time", "level", "message"]

  private static func appendValue(_ value: LogValue, to line: inout [UInt8]) {
    switch value.storage {
    case .null: line.append(contentsOf: "null".utf8)
    case .bool(let value): line.append(contentsOf: (value ? "true" : "false").utf8)
    case .integer(let value): line.append(contentsOf: String(value).utf8)
    case .double(let value) where value.isFinite: line.append(contentsOf: String(value).utf8)
    case .double(let value): appendString(String(value), to: &line)
    case .string(let value): appendString(value, to: &line)
    }
  }

  private static func appendString(_ text: String, to line: inout [UInt8]) {
    line.append(UInt8(ascii: "\""))
    var written = 0
    for scalar in text.unicodeScalars {
      if written >= maximumStringBytes {
        line.append(contentsOf: "…".utf8)
        break
      }
      switch scalar {
      case "\"": line.append(contentsOf: "\\\"".utf8)
      case "\\": line.append(contentsOf: "\\\\".utf8)
      case "\n": line.append(contentsOf: "\\n".utf8)
      case "\r": line.append(contentsOf: "\\r".utf8)
      case "\t": line.append(contentsOf: "\\t".utf8)
      case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
        // C1 controls are legal JSON, but some terminals obey them.
        line.append(contentsOf: "\\u00".utf8)
        appendHexDigit(scalar.value >> 4, to: &line)
        appendHexDigit(scalar.value & 0xF, to: &line)
      default: line.append(contentsOf: String(scalar).utf8)
      }
      written += UTF8.width(scalar)
    }
    line.append(UInt8(ascii: "\""))
  }

  private static func appendHexDigit(_ digit: UInt32, to line: inout [UInt8]) {
    line.append(contentsOf: String(digit, radix: 16).utf8)
  }

  /// Writes microseconds since 1970 as RFC 3339 in UTC with three decimals.
  static func appendTime(_ microseconds: Int64, to line: inout [UInt8]) {
    let (seconds, fraction) = divide(microseconds, by: 1_000_000)
    let (days, secondOfDay) = divide(seconds, by: 86_400)
    let (year, month, day) = civilDate(daysSince1970: days)
    appendPadded(year, width: 4, to: &line)
    line.append(UInt8(ascii: "-"))
    appendPadded(month, width: 2, to: &line)
    line.append(UInt8(ascii: "-"))
    appendPadded(day, width: 2, to: &line)
    line.append(UInt8(ascii: "T"))
    appendPadded(secondOfDay / 3_600, width: 2, to: &line)
    line.append(UInt8(ascii: ":"))
    appendPadded(secondOfDay / 60 % 60, width: 2, to: &line)
    line.append(UInt8(ascii: ":"))
    appendPadded(secondOfDay % 60, width: 2, to: &line)
    line.append(UInt8(ascii: "."))
    appendPadded(fraction / 1_000, width: 3, to: &line)
    line.append(UInt8(ascii: "Z"))
  }

  private static func divide(_ value: Int64, by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
    let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
  }

  /// The Gregorian date of a day, counted in eras of 400 years that start on March 1.
  private static func civilDate(daysSince1970 days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let (era, dayOfEra) = divide(days + 719_468, by: 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
  }

  private static func appendPadded(_ value: Int64, width: Int, to line: inout [UInt8]) {
    let digits = String(value)
    for _ in 0..<max(0, width - digits.utf8.count) {
      line.append(UInt8(ascii: "0"))
    }
    line.append(contentsOf: digits.utf8)
  }
}
