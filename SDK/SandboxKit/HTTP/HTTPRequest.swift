/// A whole HTTP request as the simulated platforms see it.
struct HTTPRequest: Sendable {
  let method: String
  /// The target up to the question mark, still percent-encoded.
  let path: String
  /// The target after the question mark, still percent-encoded.
  let rawQuery: String
  /// Names are lower-case; order and repetitions are kept.
  let headers: [Header]
  var body: [UInt8]
  /// The client will not send another request on this connection.
  let closes: Bool
  /// The name of the real server that the request is for, if its address says so.
  let host: String?

  struct Header: Sendable {
    let name: String
    let value: String
  }

  init(
    method: String,
    path: String,
    rawQuery: String = "",
    headers: [Header] = [],
    body: [UInt8] = [],
    closes: Bool = false,
    host: String? = nil
  ) {
    self.method = method
    self.path = path
    self.rawQuery = rawQuery
    self.headers = headers
    self.body = body
    self.closes = closes
    self.host = host
  }

  /// The first value of a header; `name` must be lower-case.
  func header(_ name: String) -> String? {
    headers.first { $0.name == name }?.value
  }

  /// The media type without its parameters, in lower case.
  var mediaType: String? {
    guard let value = header("content-type") else { return nil }
    let end = value.firstIndex(of: ";") ?? value.endIndex
    return String(value[..<end]).trimmingSpaces().lowercased()
  }

  /// The path cut at its slashes, percent-decoded; a part that is not valid UTF-8 becomes empty.
  var pathParts: [String] {
    path.utf8.split(separator: UInt8(ascii: "/")).map { PercentCoding.decode($0, plusIsSpace: false) ?? "" }
  }

  /// The query's fields in order; `nil` when an escape is broken.
  func queryItems() -> [QueryItem]? {
    var items: [QueryItem] = []
    for part in rawQuery.utf8.split(separator: UInt8(ascii: "&")) {
      let cut = part.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
      let rest = cut == part.endIndex ? part[cut...] : part[part.index(after: cut)...]
      guard
        let name = PercentCoding.decode(part[..<cut], plusIsSpace: true),
        let value = PercentCoding.decode(rest, plusIsSpace: true)
      else { return nil }
      items.append(QueryItem(name: name, value: value))
    }
    return items
  }

  struct QueryItem: Sendable, Equatable {
    let name: String
    let value: String
  }
}

/// Percent-encoding of paths and queries.
enum PercentCoding {
  /// Decodes `%XX`; `nil` when an escape is broken or the result is not UTF-8.
  static func decode(_ text: some Sequence<UInt8>, plusIsSpace: Bool) -> String? {
    var bytes: [UInt8] = []
    var iterator = text.makeIterator()
    while let byte = iterator.next() {
      switch byte {
      case UInt8(ascii: "%"):
        guard
          let high = iterator.next().flatMap(Hexadecimal.value(of:)),
          let low = iterator.next().flatMap(Hexadecimal.value(of:))
        else { return nil }
        bytes.append(high << 4 | low)
      case UInt8(ascii: "+") where plusIsSpace: bytes.append(UInt8(ascii: " "))
      default: bytes.append(byte)
      }
    }
    return String(validating: bytes, as: UTF8.self)
  }

  /// Encodes everything but unreserved characters.
  static func encode(_ text: String) -> String {
    var bytes: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"):
        bytes.append(byte)
      default:
        bytes.append(UInt8(ascii: "%"))
        bytes.append(Hexadecimal.digit(byte >> 4))
        bytes.append(Hexadecimal.digit(byte & 15))
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

/// Hexadecimal digits.
enum Hexadecimal {
  static func value(of byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  /// The lower-case digit of the low four bits.
  static func digit(_ value: UInt8) -> UInt8 {
    let low = value & 15
    return low < 10 ? UInt8(ascii: "0") + low : UInt8(ascii: "a") + low - 10
  }

  static func string(_ bytes: some Sequence<UInt8>) -> String {
    var text: [UInt8] = []
    for byte in bytes {
      text.append(digit(byte >> 4))
      text.append(digit(byte))
    }
    return String(decoding: text, as: UTF8.self)
  }
}

extension StringProtocol {
  /// The text without spaces and tabs at both ends.
  func trimmingSpaces() -> String {
    var part = Substring(self)
    while let first = part.first, first == " " || first == "\t" { part.removeFirst() }
    while let last = part.last, last == " " || last == "\t" { part.removeLast() }
    return String(part)
  }
}
