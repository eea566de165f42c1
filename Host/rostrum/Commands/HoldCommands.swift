import JSONDocument
import Publishing

/// `rostrum adopt` and `rostrum release`
enum HoldCommands {
  static let all = [
    command(
      "adopt",
      .adopted,
      "End a hold: this database counts, and every post that was due is looked for on its platform before it is sent",
      "Adopted. Posts that were due are looked for first; the others go out as planned."
    ),
    command(
      "release",
      .released,
      "End a hold: nothing was published meanwhile, and what is due is sent",
      "Released. What is due is sent."
    ),
  ]

  private static func command(_ word: String, _ end: Hold.End, _ summary: String, _ done: String) -> Command {
    Command(
      words: [word],
      summary: summary,
      options: [.value("by", "NAME", "who decides; kept in the record of the hold")]
    ) { invocation in
      let (hold, isEnded) = try await invocation.withPool { pool in
        let store = HoldStore(pool: pool)
        let hold = try await store.current()
        let person = invocation.option("by") ?? "the command line"
        return (hold, try await store.end(as: end, by: person, user: nil))
      }
      guard isEnded, let hold else { throw CommandError(.failure, "The installation is not on hold") }
      invocation.show(["ended": .string(end.rawValue), "cause": .string(hold.cause), "reason": .string(hold.reason)]) {
        invocation.terminal.print(done)
      }
      return .success
    }
  }
}
