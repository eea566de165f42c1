/// A refusal of one field of an untrusted object; its text says which field, what came and what is allowed.
///
/// Values are quoted only where the field takes a few known words, a number or a time, never where it may be a secret.
package struct FieldError: Error, Equatable, Sendable, CustomStringConvertible {
  package enum Code: String, Sendable {
    case missing, unknown, wrongType, tooShort, tooLong, outOfRange, notAllowed, invalid
  }

  /// The path of the field, such as `options.tags[3]`; empty for the whole body.
  package let field: String
  package let code: Code
  /// What is wrong, as the end of a sentence that begins with the field, such as `is too long`.
  package let problem: String
  /// What came, such as `a string of 312 characters`; empty when nothing did.
  package let came: String
  /// What is allowed, such as `1 to 300 characters`; empty when the problem says all.
  package let allowed: String

  package init(field: String, code: Code, problem: String, came: String = "", allowed: String = "") {
    self.field = field
    self.code = code
    self.problem = problem
    self.came = came
    self.allowed = allowed
  }

  /// The whole refusal as one sentence.
  package var message: String {
    var text = field.isEmpty ? "The value \(problem)" : "'\(field)' \(problem)"
    if !came.isEmpty { text += ": \(came) came" }
    if !allowed.isEmpty { text += "; allowed: \(allowed)" }
    return text
  }

  package var description: String { message }

  /// The path of a member of the object at `path`, which is empty for the whole body.
  ///
  /// Names come from outside: an empty one is shown as `""`, a long one is cut, control characters are replaced.
  package static func path(_ path: String, _ name: String) -> String {
    let shown = name.isEmpty ? "\"\"" : printable(name, 64)
    return path.isEmpty ? shown : "\(path).\(shown)"
  }

  /// `text` in quotes, shortened and without control characters.
  static func quoted(_ text: String, _ limit: Int = 60) -> String { "\"\(printable(text, limit))\"" }

  private static func printable(_ text: String, _ limit: Int) -> String {
    if text.utf8.count <= limit, text.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) { return text }
    var shown = ""
    for scalar in text.unicodeScalars.prefix(limit) {
      shown.unicodeScalars.append(scalar.properties.generalCategory == .control ? "\u{FFFD}" : scalar)
    }
    return text.unicodeScalars.count > limit ? shown + "…" : shown
  }
}
