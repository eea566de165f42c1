/// Finds what the platform turns into a link: addresses with a scheme, and bare domains with a known ending.
package enum LinkDetector {
  /// Returns the ranges of all links, in order and apart from each other.
  package static func links(in scalars: [Unicode.Scalar]) -> [Range<Int>] {
    var result: [Range<Int>] = []
    // Every link has a full stop; most texts have few, so look around those only.
    guard scalars.contains(".") else { return [] }
    var index = 0
    while index < scalars.count {
      if let end = link(scalars, at: index) {
        result.append(index..<end)
        index = end
      } else {
        index += 1
      }
    }
    return result
  }

  /// The links of a text, as text.
  package static func links(in text: String) -> [String] {
    let scalars = Array(text.unicodeScalars)
    return links(in: scalars).map { String(String.UnicodeScalarView(scalars[$0])) }
  }

  private static func link(_ scalars: [Unicode.Scalar], at start: Int) -> Int? {
    guard isASCIIAlphanumeric(scalars[start]) || isLatinAccent(scalars[start]) else { return nil }
    let before = start > 0 ? scalars[start - 1] : nil
    if let before, isASCIIAlphanumeric(before) || "@＠$#＃".unicodeScalars.contains(before) { return nil }
    let scheme = schemeLength(scalars, at: start)
    if scheme > 0 {
      return domainEnd(scalars, from: start + scheme, withScheme: true).map { tailEnd(scalars, from: $0) }
    }
    if let before, "-_./".unicodeScalars.contains(before) || isLatinAccent(before) { return nil }
    return domainEnd(scalars, from: start, withScheme: false).map { tailEnd(scalars, from: $0) }
  }

  private static let schemes = ["https://", "http://"].map { Array($0.unicodeScalars) }

  private static func schemeLength(_ scalars: [Unicode.Scalar], at start: Int) -> Int {
    guard lowercased(scalars[start]) == "h" else { return 0 }
    for scheme in schemes where scalars.count - start > scheme.count {
      if scheme.indices.allSatisfy({ lowercased(scalars[start + $0]) == scheme[$0] }) { return scheme.count }
    }
    return 0
  }

  /// Returns the end of the longest domain with a known ending that begins at `start`.
  private static func domainEnd(_ scalars: [Unicode.Scalar], from start: Int, withScheme: Bool) -> Int? {
    var found: Int?
    var labelStart = start
    var labels = 0
    var index = start
    while true {
      while index < scalars.count, isLabel(scalars[index], withScheme: withScheme) { index += 1 }
      guard index > labelStart, scalars[labelStart] != "-", scalars[index - 1] != "-" else { break }
      labels += 1
      if labels > 1, isBoundary(scalars, at: index), TopLevelDomains.contains(scalars[labelStart..<index]) {
        found = index
      }
      guard index < scalars.count, scalars[index] == "." else { break }
      index += 1
      labelStart = index
    }
    return found
  }

  private static func isBoundary(_ scalars: [Unicode.Scalar], at index: Int) -> Bool {
    guard index < scalars.count else { return true }
    return !"@+-_".unicodeScalars.contains(scalars[index])
  }

  /// Returns the end of port, path and query behind a domain; closing punctuation belongs to the sentence.
  private static func tailEnd(_ scalars: [Unicode.Scalar], from start: Int) -> Int {
    var domain = start
    if domain + 1 < scalars.count, scalars[domain] == ":", isDigit(scalars[domain + 1]) {
      domain += 1
      while domain < scalars.count, isDigit(scalars[domain]) { domain += 1 }
    }
    guard domain < scalars.count, scalars[domain] == "/" || scalars[domain] == "?" else { return domain }
    var end = domain
    var depth = 0
    while end < scalars.count, isTail(scalars[end]) {
      if scalars[end] == "(" { depth += 1 }
      if scalars[end] == ")" {
        if depth == 0 { break }
        depth -= 1
      }
      end += 1
    }
    while end > domain, !isTailEnd(scalars[end - 1]) {
      // A closing bracket that was opened inside the link is part of it.
      if scalars[end - 1] == ")", depth == 0 { break }
      if scalars[end - 1] == "(" { depth -= 1 }
      end -= 1
    }
    return end
  }

  private static func isLabel(_ scalar: Unicode.Scalar, withScheme: Bool) -> Bool {
    if isASCIIAlphanumeric(scalar) || scalar == "-" || isLatinAccent(scalar) { return true }
    guard withScheme else { return false }
    return scalar == "_" || (scalar.value > 0x7F && scalar.properties.isAlphabetic)
  }

  private static func isTail(_ scalar: Unicode.Scalar) -> Bool {
    isASCIIAlphanumeric(scalar) || isLatinAccent(scalar) || isCyrillic(scalar)
      || "!*';:=+,.$/%#[]-_~@|&()?".unicodeScalars.contains(scalar)
  }

  private static func isTailEnd(_ scalar: Unicode.Scalar) -> Bool {
    isASCIIAlphanumeric(scalar) || isLatinAccent(scalar) || isCyrillic(scalar)
      || "=_#/+-&".unicodeScalars.contains(scalar)
  }

  private static func isDigit(_ scalar: Unicode.Scalar) -> Bool {
    ("0"..."9").contains(scalar)
  }

  private static func isASCIIAlphanumeric(_ scalar: Unicode.Scalar) -> Bool {
    isDigit(scalar) || ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar)
  }

  private static func isLatinAccent(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0xD7, 0xF7: false
    case 0xC0...0x24F, 0x1E00...0x1EFF: true
    default: false
    }
  }

  private static func isCyrillic(_ scalar: Unicode.Scalar) -> Bool {
    (0x400...0x4FF).contains(scalar.value)
  }

  private static func lowercased(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
    ("A"..."Z").contains(scalar) ? Unicode.Scalar(UInt8(scalar.value) | 0x20) : scalar
  }
}
