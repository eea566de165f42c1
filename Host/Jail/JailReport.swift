/// What the probe found; shown by `rostrum doctor` and kept with each run.
package struct JailReport: Sendable, Equatable {
  /// One way to run plugins, tried out.
  package struct Trial: Sendable, Equatable {
    /// What was tried, like “tier A”.
    package let name: String
    package let output: ProbeOutput

    /// One line on what happened.
    package var summary: String {
      if let problem = output.problem { return "\(name): \(problem)" }
      let escapes = output.escapes
      guard !escapes.isEmpty else { return "\(name): \(output.results.count) of \(output.results.count) escapes fail" }
      let list = escapes.map { "\($0.attempt.rawValue) (\($0.detail))" }.joined(separator: ", ")
      return "\(name): \(escapes.count) of \(output.results.count) escapes work: \(list)"
    }
  }

  /// How memory and processor time are limited.
  package enum Limiting: Sendable, Equatable {
    /// By control groups below this folder.
    case controlGroups(String)
    /// By looking at each process again and again, because of this.
    case watching(String)
  }

  package let tier: JailTier
  package let launcher: String
  /// Whether each plugin runs as a user of its own.
  package let separatesUsers: Bool
  /// From the best tier downwards, up to the one that is used.
  package let trials: [Trial]
  package let limiting: Limiting
  /// Why no program can be started at all; nil when they can.
  package let failure: String?

  /// A line for people.
  package var summary: String {
    if let failure { return failure }
    let last = trials.last?.summary ?? "not tried"
    return "\(last)\(separatesUsers ? ", one user per plugin" : "")"
  }

  /// A line on the limits.
  package var limitingText: String {
    switch limiting {
    case .controlGroups(let path): "memory and processor by control groups in \(path)"
    case .watching(let reason): "memory and processor by watching, because \(reason)"
    }
  }
}
