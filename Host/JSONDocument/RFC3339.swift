package import FoundationEssentials

/// Times as RFC 3339 text.
package enum RFC3339 {
  /// Writes a time in UTC with milliseconds, such as `2026-08-10T12:00:00.000Z`.
  ///
  /// Times before year 0 or after year 9999, which the format does not have, are moved to its first or last moment.
  package static func format(_ date: Date) -> String {
    let seconds = date.timeIntervalSince1970
    let limited = seconds.isNaN ? 0 : min(max(seconds, -62_167_219_200), 253_402_300_799.999)
    // Cut below the millisecond, but only after a rounding to microseconds: a time that was read from text, or came back
    // from the database, is a hair off and would lose a whole millisecond.
    let whole = limited.rounded(.down)
    let milliseconds = Int64(whole) * 1000 + Int64(((limited - whole) * 1_000_000).rounded()) / 1000
    let (days, inDay) = floorDivide(milliseconds, 86_400_000)
    let (year, month, day) = civil(days)
    var text: [UInt8] = []
    text.reserveCapacity(24)
    append(&text, year, 4)
    text.append(UInt8(ascii: "-"))
    append(&text, month, 2)
    text.append(UInt8(ascii: "-"))
    append(&text, day, 2)
    text.append(UInt8(ascii: "T"))
    append(&text, inDay / 3_600_000, 2)
    text.append(UInt8(ascii: ":"))
    append(&text, inDay / 60_000 % 60, 2)
    text.append(UInt8(ascii: ":"))
    append(&text, inDay / 1000 % 60, 2)
    text.append(UInt8(ascii: "."))
    append(&text, inDay % 1000, 3)
    text.append(UInt8(ascii: "Z"))
    return String(decoding: text, as: UTF8.self)
  }

  /// Reads a time such as `2026-08-10T12:00:00Z` or `2026-08-10T14:00:00.5+02:00`; nil when it is malformed.
  ///
  /// The offset is required. Digits after the ninth of a fraction are refused; a leap second counts as the next second.
  package static func parse(_ text: String) -> Date? {
    var reader = Digits(bytes: Array(text.utf8.prefix(64)))
    guard let year = reader.number(4), reader.take("-"), let month = reader.number(2), reader.take("-"),
      let day = reader.number(2), reader.take("T") || reader.take("t") || reader.take(" "),
      let hour = reader.number(2), reader.take(":"), let minute = reader.number(2), reader.take(":"),
      let second = reader.number(2), (1...12).contains(month), day >= 1, day <= length(ofMonth: month, year),
      hour < 24, minute < 60, second <= 60
    else { return nil }
    var fraction = 0.0
    if reader.take(".") {
      guard let value = reader.fraction() else { return nil }
      fraction = value
    }
    var offset: Int64 = 0
    if !(reader.take("Z") || reader.take("z")) {
      let sign: Int64
      if reader.take("+") { sign = 1 } else if reader.take("-") { sign = -1 } else { return nil }
      guard let hours = reader.number(2), reader.take(":"), let minutes = reader.number(2), hours < 24, minutes < 60
      else { return nil }
      offset = sign * (hours * 3600 + minutes * 60)
    }
    guard reader.isAtEnd else { return nil }
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset
    return Date(timeIntervalSince1970: Double(seconds) + fraction)
  }

  private struct Digits {
    let bytes: [UInt8]
    var position = 0

    var isAtEnd: Bool { position == bytes.count }

    mutating func take(_ scalar: Unicode.Scalar) -> Bool {
      guard position < bytes.count, UInt32(bytes[position]) == scalar.value else { return false }
      position += 1
      return true
    }

    mutating func digit() -> Int64? {
      guard position < bytes.count, (0x30...0x39).contains(bytes[position]) else { return nil }
      position += 1
      return Int64(bytes[position - 1] - 0x30)
    }

    mutating func number(_ count: Int) -> Int64? {
      var value: Int64 = 0
      for _ in 0..<count {
        guard let next = digit() else { return nil }
        value = value * 10 + next
      }
      return value
    }

    mutating func fraction() -> Double? {
      var value: Int64 = 0
      var divisor = 1.0
      var count = 0
      while let next = digit() {
        count += 1
        guard count <= 9 else { return nil }
        value = value * 10 + next
        divisor *= 10
      }
      return count > 0 ? Double(value) / divisor : nil
    }
  }

  private static func append(_ text: inout [UInt8], _ value: Int64, _ width: Int) {
    var divisor: Int64 = 1
    for _ in 1..<width { divisor *= 10 }
    while divisor > 0 {
      text.append(UInt8(ascii: "0") + UInt8(value / divisor % 10))
      divisor /= 10
    }
  }

  private static func floorDivide(_ value: Int64, _ divisor: Int64) -> (quotient: Int64, remainder: Int64) {
    let remainder = (value % divisor + divisor) % divisor
    return ((value - remainder) / divisor, remainder)
  }

  private static func length(ofMonth month: Int64, _ year: Int64) -> Int64 {
    switch month {
    case 2: (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  // Both conversions count years from March, so that the leap day is the last of its year.
  private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let shifted = month <= 2 ? year - 1 : year
    let (era, yearOfEra) = floorDivide(shifted, 400)
    let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  private static func civil(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let (era, dayOfEra) = floorDivide(days + 719_468, 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
  }
}
