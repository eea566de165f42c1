import Glibc

/// The wall clock.
enum WallClock {
  /// Milliseconds since 1970, UTC.
  static func milliseconds() -> Int64 {
    var time = timespec()
    _ = unsafe clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }
}

/// A calendar time in UTC, without Foundation: the sandbox needs two formats and no zones.
struct CivilTime: Equatable, Sendable {
  var year: Int
  var month: Int
  var day: Int
  var hour: Int
  var minute: Int
  var second: Int
  var millisecond: Int
  /// 0 is Sunday.
  var weekday: Int

  init(milliseconds: Int64) {
    let days = Int(milliseconds >= 0 ? milliseconds / 86_400_000 : (milliseconds - 86_399_999) / 86_400_000)
    let rest = Int(milliseconds - Int64(days) * 86_400_000)
    hour = rest / 3_600_000
    minute = rest / 60_000 % 60
    second = rest / 1000 % 60
    millisecond = rest % 1000
    weekday = ((days + 4) % 7 + 7) % 7
    // Years are counted from March, so that the leap day is the last day of a year; 400 years are one era.
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  }

  /// Days since 1970 of a date of the Gregorian calendar.
  private static func days(year: Int, month: Int, day: Int) -> Int {
    let shiftedYear = month <= 2 ? year - 1 : year
    let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
    let yearOfEra = shiftedYear - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  /// Reads `YYYY-MM-DDTHH:MM:SS[.fraction]Z`; other zones and forms are `nil`.
  static func milliseconds(iso text: String) -> Int64? {
    let bytes = Array(text.utf8)
    guard bytes.count >= 20, bytes.count <= 30, bytes.last == UInt8(ascii: "Z") else { return nil }
    func number(_ start: Int, _ count: Int) -> Int? {
      var value = 0
      for byte in bytes[start..<start + count] {
        guard byte >= 48, byte <= 57 else { return nil }
        value = value * 10 + Int(byte - 48)
      }
      return value
    }
    let separators: [(Int, Character)] = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")]
    guard
      separators.allSatisfy({ bytes[$0.0] == $0.1.asciiValue }),
      let year = number(0, 4), let month = number(5, 2), let day = number(8, 2), let hour = number(11, 2),
      let minute = number(14, 2), let second = number(17, 2),
      (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second < 60
    else { return nil }
    var fraction = 0
    if bytes.count > 20 {
      guard bytes[19] == UInt8(ascii: "."), bytes.count > 21 else { return nil }
      var scale = 100
      for byte in bytes[20..<bytes.count - 1] {
        guard byte >= 48, byte <= 57 else { return nil }
        fraction += Int(byte - 48) * scale
        scale /= 10
      }
    }
    let seconds = days(year: year, month: month, day: day) * 86_400 + hour * 3600 + minute * 60 + second
    let result = Int64(seconds) * 1000 + Int64(fraction)
    // The 31st of a short month would come out as a day of the next one.
    guard CivilTime(milliseconds: result).day == day else { return nil }
    return result
  }

  /// `2026-01-02T03:04:05.678Z`.
  var iso: String {
    "\(Self.pad(year, 4))-\(Self.pad(month, 2))-\(Self.pad(day, 2))T\(Self.pad(hour, 2)):\(Self.pad(minute, 2)):"
      + "\(Self.pad(second, 2)).\(Self.pad(millisecond, 3))Z"
  }

  fileprivate static func pad(_ value: Int, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
  }
}

/// The date format of HTTP headers.
enum HTTPDate {
  private static let latest = Guarded<(second: Int64, text: String)>((-1, ""))

  /// The present, formatted once a second.
  static func now() -> String {
    let second = WallClock.milliseconds() / 1000
    return latest.withLock { latest in
      if latest.second != second { latest = (second, format(milliseconds: second * 1000)) }
      return latest.text
    }
  }

  /// `Fri, 02 Jan 2026 03:04:05 GMT`.
  static func format(milliseconds: Int64) -> String {
    let time = CivilTime(milliseconds: milliseconds)
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let date = "\(days[time.weekday]), \(CivilTime.pad(time.day, 2)) \(months[time.month - 1]) \(time.year)"
    return date
      + " \(CivilTime.pad(time.hour, 2)):\(CivilTime.pad(time.minute, 2)):\(CivilTime.pad(time.second, 2)) GMT"
  }
}
