/// The text of a settings file: lines `KEY=VALUE`, blank lines, and comments that start with `#`.
package enum SettingsFile {
  /// Reads the text; a value may stand in single or double quotes.
  package static func parse(_ text: String, name: String) throws(ConfigurationError) -> [String: String] {
    var values: [String: String] = [:]
    var problems: [String] = []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let trimmed = trim(line)
      if trimmed.isEmpty || trimmed.hasPrefix("#") { continue }
      guard let equals = trimmed.firstIndex(of: "="), isKey(trim(trimmed[..<equals])) else {
        // The line is not quoted: it may be a secret without its key.
        problems.append("line \(index + 1) of \(name) is not KEY=VALUE")
        continue
      }
      let key = String(trim(trimmed[..<equals]))
      let value = unquote(trim(trimmed[trimmed.index(after: equals)...]))
      guard values.updateValue(String(value), forKey: key) == nil else {
        problems.append("line \(index + 1) of \(name) sets \(key) a second time")
        continue
      }
    }
    guard problems.isEmpty else { throw ConfigurationError(problems: problems) }
    return values
  }

  private static func isKey(_ text: Substring) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy { byte in
        byte == UInt8(ascii: "_") || (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
      }
  }

  private static func unquote(_ text: Substring) -> Substring {
    guard text.count >= 2, let first = text.first, first == "\"" || first == "'", text.last == first else {
      return text
    }
    return text.dropFirst().dropLast()
  }

  private static func trim(_ text: Substring) -> Substring {
    let start = text.drop(while: \.isWhitespace)
    guard let last = start.lastIndex(where: { !$0.isWhitespace }) else { return start.prefix(0) }
    return start[...last]
  }
}
