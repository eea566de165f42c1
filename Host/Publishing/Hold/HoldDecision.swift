internal import FoundationEssentials
internal import JSONDocument

/// Why a host does not trust its database any more.
package enum HoldCause: String, Sendable, Equatable, CaseIterable {
  /// The tables came out of a dump, or the database is a copy.
  case copied
  /// The home served another installation.
  case foreignInstallation
  /// The home knows this installation on another server.
  case foreignServer
  /// The database lacks something that the home has seen in it.
  case behind
  /// A standby took over, and nobody knows whether it had everything.
  case promoted
}

/// Whether hosts may send after a look at their database.
///
/// A pure function: every row of it has a test.
package enum HoldDecision: Sendable, Equatable {
  case proceed
  /// Nothing is sent until a person has decided.
  case hold(HoldCause, reason: String)
  /// A standby that takes no writes: look again later.
  case notReady

  /// - Parameters:
  ///   - mark: What this home wrote down; nil for a new home.
  ///   - isStart: Whether the host starts, rather than connects again.
  package init(mark: HighWaterMark?, facts: DatabaseFacts, isStart: Bool) {
    self = Self.decide(mark: mark, facts: facts, isStart: isStart)
  }

  private static func decide(mark: HighWaterMark?, facts: DatabaseFacts, isStart: Bool) -> HoldDecision {
    if facts.isInRecovery { return .notReady }
    if let record = facts.record, record.identity != facts.identity {
      return .hold(
        .copied,
        reason: "The database was restored from a back-up or copied. What hosts published after "
          + "\(text(facts.knownUntil)) is missing in it."
      )
    }
    // Whoever ended the last hold knew what was missing then; older marks say nothing new.
    guard let mark, facts.holdEndedAt.map({ mark.at > $0 }) ?? true else {
      guard let record = facts.record, record.timeline != facts.timeline else { return .proceed }
      return promoted(from: record.timeline, facts, until: facts.knownUntil)
    }
    if mark.installation != facts.installation {
      return .hold(
        .foreignInstallation,
        reason: "This home belongs to installation \(name(mark.installation)), the database to "
          + "\(name(facts.installation)). Check DATABASE_URL and ROSTRUM_HOME."
      )
    }
    if mark.system != facts.identity.system || mark.database != facts.identity.database {
      return .hold(
        .foreignServer,
        reason: "This home knows the database on another server, as it was at \(text(mark.at)). What hosts published "
          + "after \(text(facts.knownUntil)) may be missing in this one."
      )
    }
    if mark.flushed > facts.flushed || mark.fence > facts.fence {
      return .hold(
        .behind,
        reason: "The database stands before what this home has seen in it: it ends about \(text(facts.knownUntil)), "
          + "the home's mark is of \(text(mark.at))\(window(facts.knownUntil, mark.at))."
      )
    }
    // Where the record says the same as the server, another host or a person has examined the change.
    guard mark.timeline != facts.timeline, facts.record?.timeline != facts.timeline else { return .proceed }
    // Every answered commit was on the standby too.
    if !isStart, mark.isSynchronous { return .proceed }
    return promoted(from: mark.timeline, facts, until: mark.at)
  }

  private static func promoted(from timeline: Int64, _ facts: DatabaseFacts, until: Date?) -> HoldDecision {
    .hold(
      .promoted,
      reason: "A standby took over (timeline \(timeline) became \(facts.timeline)), and it may lack what was published "
        + "last: hosts had seen the database as of \(text(until))\(window(facts.knownUntil, until))."
    )
  }

  private static func text(_ date: Date?) -> String { date.map { RFC3339.format($0) } ?? "an unknown time" }

  private static func name(_ id: UUID) -> String { id.uuidString.lowercased() }

  private static func window(_ from: Date?, _ until: Date?) -> String {
    guard let from, let until else { return "" }
    let seconds = (max(0, until.timeIntervalSince(from)) * 10).rounded() / 10
    return ", so \(seconds) s and the second after are in doubt"
  }
}
