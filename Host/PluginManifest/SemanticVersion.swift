/// A version as Semantic Versioning 2.0.0 orders it, without build metadata.
package struct SemanticVersion: Sendable, Equatable, Hashable, Comparable, CustomStringConvertible {
  package let major: Int
  package let minor: Int
  package let patch: Int
  /// Dot-separated identifiers after the hyphen; empty for a release.
  package let prerelease: [String]

  /// Reads `1.2.3` or `1.2.3-beta.1`; nil for anything else, numbers of more than nine digits included.
  package init?(_ text: String) {
    guard text.utf8.count <= 64 else { return nil }
    let halves = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
    let numbers = halves[0].split(separator: ".", omittingEmptySubsequences: false)
    guard
      numbers.count == 3, let major = plainNumber(numbers[0]), let minor = plainNumber(numbers[1]),
      let patch = plainNumber(numbers[2])
    else { return nil }
    var prerelease: [String] = []
    if halves.count == 2 {
      prerelease = halves[1].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
      guard prerelease.allSatisfy(Self.isIdentifier) else { return nil }
    }
    self.major = major
    self.minor = minor
    self.patch = patch
    self.prerelease = prerelease
  }

  package var description: String {
    let release = "\(major).\(minor).\(patch)"
    return prerelease.isEmpty ? release : release + "-" + prerelease.joined(separator: ".")
  }

  package static func < (left: SemanticVersion, right: SemanticVersion) -> Bool {
    let leftNumbers = (left.major, left.minor, left.patch)
    let rightNumbers = (right.major, right.minor, right.patch)
    if leftNumbers != rightNumbers { return leftNumbers < rightNumbers }
    if left.prerelease.isEmpty || right.prerelease.isEmpty {
      return !left.prerelease.isEmpty && right.prerelease.isEmpty
    }
    for (one, other) in zip(left.prerelease, right.prerelease) where one != other {
      switch (plainNumber(one), plainNumber(other)) {
      case (let one?, let other?): return one < other
      case (_?, nil): return true
      case (nil, _?): return false
      case (nil, nil): return Array(one.utf8).lexicographicallyPrecedes(Array(other.utf8))
      }
    }
    return left.prerelease.count < right.prerelease.count
  }

  private static func isIdentifier(_ text: String) -> Bool {
    guard !text.isEmpty, text.utf8.allSatisfy({ isAlphanumeric($0) || $0 == UInt8(ascii: "-") }) else { return false }
    let isNumeric = text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    return !isNumeric || plainNumber(text) != nil
  }
}

/// A number of one to nine digits without leading zeros, sign or spaces.
func plainNumber(_ text: some StringProtocol) -> Int? {
  let bytes = Array(text.utf8)
  guard (1...9).contains(bytes.count), bytes.count == 1 || bytes[0] != UInt8(ascii: "0") else { return nil }
  var number = 0
  for byte in bytes {
    guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
    number = number * 10 + Int(byte - UInt8(ascii: "0"))
  }
  return number
}

func isAlphanumeric(_ byte: UInt8) -> Bool {
  switch byte {
  case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
    UInt8(ascii: "A")...UInt8(ascii: "Z"):
    true
  default: false
  }
}
