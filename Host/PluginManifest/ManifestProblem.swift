/// One thing that is wrong with a manifest: where, what came, what is allowed.
package struct ManifestProblem: Sendable, Equatable, CustomStringConvertible {
  /// Place in the document, such as `egress[2].slots`; empty for the document as a whole.
  package let path: String
  package let problem: String
  /// What the manifest says; empty if there is nothing to show.
  package let came: String
  /// What would be accepted; empty if the problem says it.
  package let allowed: String

  package init(path: String, problem: String, came: String = "", allowed: String = "") {
    self.path = path
    self.problem = problem
    self.came = came
    self.allowed = allowed
  }

  package var description: String {
    var text = path.isEmpty ? problem : "\(path): \(problem)"
    if !came.isEmpty { text += ", came \(came)" }
    if !allowed.isEmpty { text += ", allowed \(allowed)" }
    return text
  }
}

/// A manifest that was refused, with every problem found in it.
package struct ManifestError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Never empty.
  package let problems: [ManifestProblem]

  package init(problems: [ManifestProblem]) {
    self.problems = problems
  }

  package var description: String {
    problems.map(\.description).joined(separator: "; ")
  }
}
