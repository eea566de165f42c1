import JobQueue

extension DeliveryJournal {
  /// Whose attempt this is.
  struct Owner: Sendable {
    let lease: Lease
    let site: Int64
    let run: Int
    let attempt: Int
    /// The place of the post that this run deletes, from 0; nil for a run that publishes.
    ///
    /// A run that deletes knows only of itself: what others published must not pass for a deletion. Each post of a thread
    /// has steps of its own in it, whatever the adapter calls them.
    var deletes: Int?

    var delivery: Int64 { lease.jobID }

    /// The name under which the journal knows a step.
    func scoped(_ step: String) -> String { step + suffix }

    /// Whether a row belongs to this attempt's world.
    func knows(_ record: EffectRecord) -> Bool {
      guard deletes != nil else { return true }
      guard record.key.run == run else { return false }
      return suffix.isEmpty ? !record.key.step.contains(Self.mark) : record.key.step.hasSuffix(suffix)
    }

    private var suffix: String { deletes.map { $0 == 0 ? "" : "\(Self.mark)\($0 + 1))" } ?? "" }

    /// No plugin's step holds it.
    private static let mark = " ("
  }

  /// Where the turns of further posts come from: those of a thread count in the account's limits like any others.
  struct Turns: Sendable {
    let lane: Int64
    let watch: AttemptWatch
  }
}
