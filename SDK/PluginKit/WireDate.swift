public import FoundationEssentials

/// Times as they stand in messages and headers; always UTC, no time zone data needed.
public enum WireDate {
  private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

  /// Reads RFC 3339, such as `2026-01-02T03:04:05.678Z`; nil for anything else.
  public static func parse(_ text: String) -> Date? {
    let bytes = Array(text.utf8)
    guard bytes.count >= 20, bytes[4] == 0x2D, bytes[7] == 0x2D, bytes[10] | 0x20 == 0x74, bytes[13] == 0x3A,
      bytes[16] == 0x3A, let year = number(bytes[0..<4]), let month = number(bytes[5..<7]),
      let day = number(bytes[8..<10]), let hour = number(bytes[11..<13]), let minute = number(bytes[14..<16]),
      let second = number(bytes[17..<19]),
      var seconds = self.seconds(year: year, month: month, day: day, hour: hour, minute: minute, second: second)
    else { return nil }
    var index = 19
    if bytes[index] == 0x2E {
      var scale = 0.1
      index += 1
      let first = index
      while index < bytes.count, let digit = number(bytes[index..<(index + 1)]) {
        seconds += Double(digit) * scale
        scale /= 10
        index += 1
      }
      guard index > first else { return nil }
    }
    guard let offset = offset(bytes[index...]) else { return nil }
    return Date(timeIntervalSince1970: seconds - offset)
  }

  private static func offset(_ bytes: ArraySlice<UInt8>) -> Double? {
    guard let sign = bytes.first else { return nil }
    if sign | 0x20 == 0x7A { return bytes.count == 1 ? 0 : nil }
    let start = bytes.startIndex
    guard bytes.count == 6, sign == 0x2B || sign == 0x2D, bytes[start + 3] == 0x3A,
      let hours = number(bytes[(start + 1)..<(start + 3)]), let minutes = number(bytes[(start + 4)..<(start + 6)])
    else { return nil }
    let seconds = Double(hours * 3_600 + minutes * 60)
    return sign == 0x2B ? seconds : -seconds
  }

  /// Writes RFC 3339 in UTC, with or without milliseconds.
  public static func text(_ date: Date, milliseconds: Bool = false) -> String {
    let bounded = min(max(date.timeIntervalSince1970, -62_135_596_800), 253_402_300_799)
    let total = Int64((bounded * 1_000).rounded())
    let millisecond = (total % 1_000 + 1_000) % 1_000
    let second = (total - millisecond) / 1_000
    let clock = (second % 86_400 + 86_400) % 86_400
    let (year, month, day) = civil((second - clock) / 86_400)
    let head = "\(pad(year, 4))-\(pad(month, 2))-\(pad(day, 2))T"
    let time = "\(pad(clock / 3_600, 2)):\(pad(clock / 60 % 60, 2)):\(pad(clock % 60, 2))"
    return milliseconds ? "\(head)\(time).\(pad(millisecond, 3))Z" : "\(head)\(time)Z"
  }

  /// Reads the date of an HTTP header, such as `Sun, 06 Nov 1994 08:49:37 GMT`; nil for the two obsolete forms.
  public static func parseHTTP(_ text: String) -> Date? {
    let parts = text.split(separator: " ")
    guard parts.count == 6, parts[5] == "GMT", let day = number(Array(parts[1].utf8)[...]),
      let month = months.firstIndex(of: String(parts[2])), let year = number(Array(parts[3].utf8)[...])
    else { return nil }
    let clock = parts[4].split(separator: ":").map { number(Array($0.utf8)[...]) }
    guard clock.count == 3, let hour = clock[0], let minute = clock[1], let second = clock[2],
      let seconds = seconds(year: year, month: month + 1, day: day, hour: hour, minute: minute, second: second)
    else { return nil }
    return Date(timeIntervalSince1970: seconds)
  }

  private static func seconds(year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int) -> Double? {
    guard (1...9_999).contains(year), (1...12).contains(month), day >= 1, day <= days(year, month), hour < 24,
      minute < 60, second <= 60
    else { return nil }
    return Double(daysSinceEpoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
  }

  private static func days(_ year: Int, _ month: Int) -> Int {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// Days from 1970-01-01; years are counted from March, so that the leap day is the last of its year.
  private static func daysSinceEpoch(_ year: Int, _ month: Int, _ day: Int) -> Int {
    let shifted = month > 2 ? year : year - 1
    let era = shifted / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  private static func civil(_ days: Int64) -> (Int64, Int64, Int64) {
    let shifted = days + 719_468
    let era = shifted / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
  }

  private static func number(_ bytes: ArraySlice<UInt8>) -> Int? {
    guard (1...4).contains(bytes.count) else { return nil }
    var value = 0
    for byte in bytes {
      guard byte >= 0x30, byte <= 0x39 else { return nil }
      value = value * 10 + Int(byte - 0x30)
    }
    return value
  }

  private static func pad(_ value: Int64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(width - digits.count, 0)) + digits
  }
}
