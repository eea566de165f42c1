/// The path of a rule: literal text with named holes, such as `/users/{userId}/posts`.
package struct PathTemplate: Sendable, Equatable, CustomStringConvertible {
  package enum Part: Sendable, Equatable {
    case literal(String)
    case parameter(String)
  }

  /// The path as the manifest wrote it.
  package let description: String
  package let parts: [Part]
  /// Names of the holes in order.
  package let parameters: [String]

  /// Reads a template; throws what is wrong with it, in words for a plugin's author.
  package init(_ text: String) throws(PathTemplateError) {
    guard text.hasPrefix("/"), text.utf8.count <= 512 else {
      throw PathTemplateError("must start with / and have at most 512 bytes")
    }
    var parts: [Part] = []
    var parameters: [String] = []
    var rest = text[...]
    while let open = rest.firstIndex(of: "{") {
      if open > rest.startIndex { parts.append(.literal(String(rest[..<open]))) }
      guard let close = rest[open...].firstIndex(of: "}") else { throw PathTemplateError("has a { without }") }
      let name = String(rest[rest.index(after: open)..<close])
      guard isFieldName(name) else { throw PathTemplateError("has a bad parameter name {\(name)}") }
      guard !parameters.contains(name) else { throw PathTemplateError("names {\(name)} twice") }
      if case .parameter? = parts.last { throw PathTemplateError("has two parameters side by side") }
      parts.append(.parameter(name))
      parameters.append(name)
      rest = rest[rest.index(after: close)...]
    }
    if !rest.isEmpty { parts.append(.literal(String(rest))) }
    for case .literal(let literal) in parts {
      guard literal.utf8.allSatisfy(Self.isPathByte) else {
        throw PathTemplateError("may hold only letters, digits and -._~!$&'()*+,;=:@/ outside of {}")
      }
    }
    for segment in text.dropFirst().split(separator: "/", omittingEmptySubsequences: false).dropLast() {
      guard !segment.isEmpty else { throw PathTemplateError("has an empty segment") }
    }
    for segment in text.split(separator: "/") where segment.allSatisfy({ $0 == "." }) {
      throw PathTemplateError("has a segment of dots")
    }
    description = text
    self.parts = parts
    self.parameters = parameters
  }

  /// Whether a path, encoded as it is sent, could come from this template.
  package func matches(_ path: String) -> Bool {
    let path = Array(path.utf8)
    return Self.matches(path[...], parts[...])
  }

  private static func matches(_ path: ArraySlice<UInt8>, _ parts: ArraySlice<Part>) -> Bool {
    guard let part = parts.first else { return path.isEmpty }
    switch part {
    case .literal(let text):
      return path.starts(with: text.utf8) && matches(path.dropFirst(text.utf8.count), parts.dropFirst())
    case .parameter:
      // Two holes never touch, so what follows starts with a literal or is the end; the first fit is not always right.
      let segment = path.prefix { $0 != UInt8(ascii: "/") }
      guard !holdsSeparator(segment) else { return false }
      return segment.indices.contains { end in matches(path[(end + 1)...], parts.dropFirst()) }
    }
  }

  /// Whether an encoded segment holds a slash or a backslash that some servers would decode.
  private static func holdsSeparator(_ segment: ArraySlice<UInt8>) -> Bool {
    let text = String(decoding: segment, as: UTF8.self).lowercased()
    return ["%2f", "%5c", "%00", "%25"].contains { text.contains($0) }
  }

  private static func isPathByte(_ byte: UInt8) -> Bool {
    isAlphanumeric(byte) || "-._~!$&'()*+,;=:@/".utf8.contains(byte)
  }
}

/// What is wrong with a path template.
package struct PathTemplateError: Error, Equatable, CustomStringConvertible {
  package let description: String

  init(_ description: String) {
    self.description = description
  }
}

/// Letter first, then letters, digits and underscores; at most 40.
func isFieldName(_ text: String) -> Bool {
  guard let first = text.utf8.first, isAlphanumeric(first), !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first)
  else { return false }
  return text.utf8.count <= 40 && text.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "_") }
}
