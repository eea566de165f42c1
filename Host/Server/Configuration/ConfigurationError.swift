/// Everything that is wrong with the settings, at once. No text quotes a secret.
package struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
  /// One sentence each: the setting, what came, what is allowed.
  package let problems: [String]

  package init(problems: [String]) {
    self.problems = problems
  }

  package var description: String {
    guard problems.count > 1 else { return "The settings are wrong: \(problems.first ?? "")" }
    return "The settings are wrong:\n" + problems.map { "  - \($0)" }.joined(separator: "\n")
  }
}
