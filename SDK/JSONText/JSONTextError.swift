/// Why a text is not acceptable JSON, or a value is not what the caller asked for.
///
/// Holds no part of the text, so a description is always safe to log.
public struct JSONTextError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What is wrong.
  public enum Problem: String, Sendable {
    case badEscape = "an escape sequence is not valid"
    case badLiteral = "a literal is not true, false or null"
    case badNumber = "a number does not follow the JSON grammar"
    case badUTF8 = "the text is not valid UTF-8"
    case controlCharacter = "a control character stands inside a string"
    case duplicateKey = "an object names a key twice"
    case loneSurrogate = "an escape names half of a surrogate pair"
    case missing = "the field is missing"
    case outOfRange = "the number does not fit the expected type"
    case tooDeep = "the value is nested too deeply"
    case trailingText = "text follows the value"
    case unexpectedCharacter = "a character stands where JSON does not allow it"
    case unexpectedEnd = "the text ends inside a value"
    case wrongType = "the value has another type"
  }

  /// What is wrong.
  public let problem: Problem
  /// Byte offset in the text where it was found.
  public let offset: Int
  /// Name of the field concerned, where a field was read.
  public let field: String?

  /// Makes an error; `offset` counts bytes from the start of the text.
  public init(_ problem: Problem, at offset: Int, field: String? = nil) {
    self.problem = problem
    self.offset = offset
    self.field = field
  }

  /// The same error with the name of the field being read.
  public func naming(_ field: String) -> JSONTextError {
    JSONTextError(problem, at: offset, field: self.field.map { "\(field).\($0)" } ?? field)
  }

  /// What is wrong and where; holds none of the text.
  public var description: String {
    if let field { return "\(field): \(problem.rawValue) (byte \(offset))" }
    return "\(problem.rawValue) (byte \(offset))"
  }
}
