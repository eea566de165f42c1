/// A refusal of a text as JSON; safe to log and to show, for it never quotes the text.
package struct JSONError: Error, Equatable, Sendable, CustomStringConvertible {
  package enum Code: String, Sendable {
    case duplicateName, incomplete, invalidSyntax, invalidUTF8, nulCharacter, numberOutOfRange, outOfMemory, tooDeep
    case tooLarge
  }

  package let code: Code
  /// Line of the problem, from 1; 0 when it belongs to no place.
  package let line: Int
  /// Column of the problem in characters, from 1; 0 when it belongs to no place.
  package let column: Int
  /// What is wrong and what is allowed, without the place.
  package let problem: String

  package init(_ code: Code, line: Int = 0, column: Int = 0, _ problem: String) {
    self.code = code
    self.line = line
    self.column = column
    self.problem = problem
  }

  package var description: String {
    line > 0 ? "\(problem) (line \(line), column \(column))" : problem
  }
}
