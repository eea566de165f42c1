/// An absolute HTTP address in the one form that every reader understands alike.
///
/// Only ASCII, no user, no fragment, no backslash, no final dot, no number that merely looks like a host name.
package struct TargetURL: Sendable, Equatable, CustomStringConvertible {
  package enum Scheme: String, Sendable {
    case http
    case https

    var defaultPort: Int { self == .http ? 80 : 443 }
  }

  package let scheme: Scheme
  /// Lower-case name, dotted quad, or IPv6 address without brackets.
  package let host: String
  package let port: Int
  /// Starts with `/`; without query.
  package let path: String
  /// Text behind the question mark.
  package let query: String?

  private init(scheme: Scheme, host: String, port: Int, path: String, query: String?) {
    self.scheme = scheme
    self.host = host
    self.port = port
    self.path = path
    self.query = query
  }

  /// Reads an address strictly; the error says what is wrong without repeating the address.
  package init(_ text: String, maximumBytes: Int = 2_048) throws(TargetURLError) {
    let bytes = Array(text.utf8)
    guard bytes.count <= maximumBytes else { throw TargetURLError("is longer than \(maximumBytes) bytes") }
    guard bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !"\\\"<>^`{}|#".utf8.contains($0) }) else {
      throw TargetURLError("holds a character that a URL may not hold, or a fragment")
    }
    let scheme: Scheme
    let rest: Substring
    if text.hasPrefix("https://") {
      (scheme, rest) = (.https, text.dropFirst(8))
    } else if text.hasPrefix("http://") {
      (scheme, rest) = (.http, text.dropFirst(7))
    } else {
      throw TargetURLError("does not start with https://")
    }
    let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
    let authority = rest[..<end]
    guard !authority.contains("@") else { throw TargetURLError("holds a user name") }
    let (host, port) = try Self.hostAndPort(authority, scheme)
    let tail = rest[end...]
    let mark = tail.firstIndex(of: "?") ?? tail.endIndex
    let path = tail[..<mark].isEmpty ? "/" : String(tail[..<mark])
    try Self.checkEscapes(tail)
    guard !Self.hasDots(path) else { throw TargetURLError("has a path segment of dots") }
    self.init(
      scheme: scheme,
      host: host,
      port: port,
      path: path,
      query: mark < tail.endIndex ? String(tail[tail.index(after: mark)...]) : nil
    )
  }

  /// `scheme://host[:port]`, the port only where it is not the scheme's own.
  package var origin: String {
    let shown = host.contains(":") ? "[\(host)]" : host
    return port == scheme.defaultPort ? "\(scheme.rawValue)://\(shown)" : "\(scheme.rawValue)://\(shown):\(port)"
  }

  /// The address as it is sent.
  package var description: String {
    query.map { "\(origin)\(path)?\($0)" } ?? origin + path
  }

  /// Whether nothing but an origin is given.
  package var isOrigin: Bool { path == "/" && query == nil }

  /// Where a `Location` header points from here; the fragment is dropped.
  package func resolving(_ reference: String) throws(TargetURLError) -> TargetURL {
    let text = String(reference.prefix { $0 != "#" })
    let scheme = text.prefix { $0 != ":" && $0 != "/" && $0 != "?" }
    if scheme.count < text.count, text[scheme.endIndex] == ":" {
      let name = scheme.lowercased()
      return try TargetURL(name + text[scheme.endIndex...], maximumBytes: Self.longAddress)
    }
    if text.hasPrefix("//") { return try TargetURL("\(self.scheme.rawValue):\(text)", maximumBytes: Self.longAddress) }
    let place: String
    if text.hasPrefix("/") {
      place = text
    } else if text.hasPrefix("?") {
      place = path + text
    } else if text.isEmpty {
      place = query.map { "\(path)?\($0)" } ?? path
    } else {
      place = path[...(path.lastIndex(of: "/") ?? path.startIndex)] + text
    }
    return try TargetURL(origin + place, maximumBytes: Self.longAddress)
  }

  /// Addresses that servers make for uploads carry whole tokens.
  package static let longAddress = 8_000

  /// The host as an address, if it is written as one.
  var literalAddress: IPAddress? { IPAddress(host) }

  /// The same place on another server, or in a folder of it.
  func moved(to other: TargetURL) -> TargetURL {
    let folder = other.path == "/" ? "" : other.path
    return TargetURL(scheme: other.scheme, host: other.host, port: other.port, path: folder + path, query: query)
  }

  /// The place on another server that this one in a folder stands for; nil outside of the folder.
  func moved(from stand: TargetURL, to other: TargetURL) -> TargetURL? {
    var place = path[...]
    if stand.path != "/" {
      guard path == stand.path || path.hasPrefix(stand.path + "/") else { return nil }
      place = path.dropFirst(stand.path.count)
    }
    let whole = place.isEmpty ? "/" : String(place)
    return TargetURL(scheme: other.scheme, host: other.host, port: other.port, path: whole, query: query)
  }

  /// The same server with another path and query, both already encoded.
  func replacing(path: String, query: String?) -> TargetURL {
    TargetURL(scheme: scheme, host: host, port: port, path: path, query: query)
  }

  private static func hostAndPort(
    _ authority: Substring,
    _ scheme: Scheme
  ) throws(TargetURLError) -> (String, Int) {
    var host = authority
    var portText: Substring?
    if authority.hasPrefix("[") {
      guard let close = authority.firstIndex(of: "]") else { throw TargetURLError("has a [ without ]") }
      host = authority[authority.index(after: authority.startIndex)..<close]
      let behind = authority[authority.index(after: close)...]
      guard behind.isEmpty || behind.hasPrefix(":") else { throw TargetURLError("has text behind ]") }
      if !behind.isEmpty { portText = behind.dropFirst() }
      guard host.contains(":"), IPAddress(host) != nil else { throw TargetURLError("has no IPv6 address in []") }
    } else if let colon = authority.firstIndex(of: ":") {
      host = authority[..<colon]
      portText = authority[authority.index(after: colon)...]
    }
    var port = scheme.defaultPort
    if let portText {
      guard let number = DecimalNumber.parse(portText, atMost: 65_535), number > 0 else {
        throw TargetURLError("has a bad port")
      }
      port = number
    }
    if !authority.hasPrefix("[") { try checkName(host) }
    return (host.lowercased(), port)
  }

  /// Checks a host name; a name that ends in a number must be a dotted quad, since resolvers read it as an address.
  private static func checkName(_ host: Substring) throws(TargetURLError) {
    guard (1...253).contains(host.utf8.count) else { throw TargetURLError("has no host, or one that is too long") }
    let labels = host.split(separator: ".", omittingEmptySubsequences: false)
    for label in labels {
      guard (1...63).contains(label.utf8.count), !label.hasPrefix("-"), !label.hasSuffix("-"),
        label.utf8.allSatisfy({ ASCII.isLetter($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "-") })
      else { throw TargetURLError("has a bad host name; write international names in their xn-- form") }
    }
    guard let last = labels.last?.lowercased() else { return }
    let isHex = last.hasPrefix("0x") && last.dropFirst(2).utf8.allSatisfy(ASCII.isHexDigit)
    let looksNumeric = isHex || last.utf8.allSatisfy(ASCII.isDigit)
    if looksNumeric, IPAddress(host) == nil { throw TargetURLError("has a number for a host") }
  }

  private static func checkEscapes(_ text: Substring) throws(TargetURLError) {
    let bytes = Array(text.utf8)
    for index in bytes.indices where bytes[index] == UInt8(ascii: "%") {
      guard index + 2 < bytes.count, ASCII.isHexDigit(bytes[index + 1]), ASCII.isHexDigit(bytes[index + 2]) else {
        throw TargetURLError("has a % without two hex digits")
      }
    }
  }

  /// Whether a server could read a segment as the folder itself or the one above it.
  ///
  /// Parameters behind a semicolon do not count, for some servers drop them before they resolve dots.
  static func hasDots(_ path: String) -> Bool {
    let plain = path.lowercased().replacing("%2e", with: ".").replacing("%3b", with: ";")
    return plain.split(separator: "/").contains { segment in
      let name = segment.prefix { $0 != ";" }
      return name == "." || name == ".."
    }
  }
}

/// What is wrong with an address; does not repeat it.
package struct TargetURLError: Error, Sendable, Equatable, CustomStringConvertible {
  package let description: String

  init(_ description: String) {
    self.description = description
  }
}
