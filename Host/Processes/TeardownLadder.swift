internal import Glibc

/// The steps by which a process is ended, from polite to rude. What still lives after the last step is killed.
package struct TeardownLadder: Sendable {
  package enum Action: Sendable, Equatable {
    /// Closes this process's end of the child's standard input.
    case closeInput
    /// Sends a signal to the child's whole group.
    case signal(Int32)
    /// Does nothing but wait.
    case wait
  }

  package struct Step: Sendable, Equatable {
    package let action: Action
    /// How long the child may take before the next step.
    package let grace: Duration

    package init(_ action: Action, grace: Duration) {
      self.action = action
      self.grace = grace
    }
  }

  package let steps: [Step]

  package init(steps: [Step]) {
    self.steps = steps
  }

  /// End of input, 5 s, TERM, 3 s, KILL.
  package static let standard = TeardownLadder(
    steps: [Step(.closeInput, grace: .seconds(5)), Step(.signal(SIGTERM), grace: .seconds(3))]
  )

  /// KILL at once.
  package static let immediate = TeardownLadder(steps: [])
}
