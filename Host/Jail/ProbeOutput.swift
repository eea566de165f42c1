package import Processes

/// What the probe program wrote and how it ended.
package struct ProbeOutput: Sendable, Equatable {
  package struct Result: Sendable, Equatable {
    package let attempt: EscapeAttempt
    package let isHeld: Bool
    /// What worked, or the last error.
    package let detail: String
  }

  /// In the order of ``EscapeAttempt``; attempts without a result are missing.
  package let results: [Result]
  /// Why the probe did not run to its end; nil when it did.
  package let problem: String?

  /// Reads the probe's lines.
  package init(standardOutput: String, standardError: String, status: ExitStatus) {
    var found: [EscapeAttempt: Result] = [:]
    var triedForeignCalls = false
    for line in standardOutput.split(separator: "\n") {
      let words = line.split(separator: " ", maxSplits: 2).map(String.init)
      guard words.count >= 2, let attempt = EscapeAttempt(rawValue: words[0]) else { continue }
      let detail = words.count > 2 ? words[2] : ""
      switch words[1] {
      case "held": found[attempt] = Result(attempt: attempt, isHeld: true, detail: detail)
      case "open": found[attempt] = Result(attempt: attempt, isHeld: false, detail: detail)
      case "try": triedForeignCalls = attempt == .foreignCalls
      default: continue
      }
    }
    if triedForeignCalls, found[.foreignCalls] == nil, case .signaled(let number) = status {
      found[.foreignCalls] = Result(attempt: .foreignCalls, isHeld: true, detail: "signal \(number)")
    }
    results = EscapeAttempt.allCases.compactMap { found[$0] }
    let missing = EscapeAttempt.allCases.filter { found[$0] == nil }
    if missing.isEmpty {
      problem = nil
    } else {
      let said = standardError.split(separator: "\n").last.map { ": \($0)" } ?? ""
      problem =
        "the probe ended with \(status) before it tried \(missing.map(\.rawValue).joined(separator: ", "))\(said)"
    }
  }

  /// What got out.
  package var escapes: [Result] { results.filter { !$0.isHeld } }

  /// Whether everything was tried and nothing got out.
  package var isTight: Bool { problem == nil && escapes.isEmpty }
}
