package import FoundationEssentials

/// What the plugin found out about commits without a known outcome.
package enum ReconcileVerdict: Sendable, Equatable {
  case found(remoteID: String, url: String?, publishedAt: Date?)
  case absent
  case unknown(why: String)
}

/// What follows from a verdict.
package enum ReconcileStep: Sendable, Equatable {
  /// It is out: close the open commits as accepted and end as sent.
  case sent(remoteID: String, url: String?)
  /// It is certainly not out: close the open commits as not sent and publish now.
  case publishAgain
  /// Look again at this instant; the lane stays held.
  case lookAgain(at: Date)
  /// Nobody can know: a person answers.
  case unconfirmed(why: String)
}

/// The rules for reconciliation, as a value without I/O.
package struct ReconcileRules: Sendable {
  /// Whether the platform's lists can prove that a post is not there.
  package var absenceIsCertain: Bool
  /// How long after the last byte a post may still appear in the platform's lists.
  package var settle: TimeInterval
  /// How often a check that found nothing out is repeated before a person is asked.
  package var maximumChecks = 5
  private static let checkSpacing: TimeInterval = 15

  package init(absenceIsCertain: Bool, settle: TimeInterval) {
    self.absenceIsCertain = absenceIsCertain
    self.settle = settle
  }

  /// The instant from which "absent" counts; nil while a commit's last byte is not known.
  package func settledAt(_ open: [EffectRecord]) -> Date? {
    var latest: Date?
    for record in open {
      guard let last = record.lastByteAt else { return nil }
      latest = max(latest ?? last, last)
    }
    return latest.map { $0.addingTimeInterval(settle) }
  }

  /// Decides what follows from a verdict.
  ///
  /// - Parameters:
  ///   - verdict: what the plugin said.
  ///   - settledAt: the instant from which "absent" counts.
  ///   - lookupAnsweredAt: when the last look-up request that answered 2xx was sent; nil when none did.
  ///   - isNew: whether the found post belongs to no other delivery of the account.
  ///   - isRefused: whether every open commit got a complete answer that refused it, and is open only because the refusal
  ///     may mean success (“duplicate”).
  ///   - firstSentAt: when the first of the open commits was started; older posts are not ours.
  ///   - checks: how many checks there were before this one.
  package func next(
    after verdict: ReconcileVerdict,
    settledAt: Date,
    lookupAnsweredAt: Date?,
    isNew: Bool,
    isRefused: Bool,
    firstSentAt: Date,
    checks: Int,
    now: Date
  ) -> ReconcileStep {
    switch verdict {
    case .found(let remoteID, let url, let publishedAt):
      let isOurs = publishedAt.map { $0 > firstSentAt.addingTimeInterval(-600) } ?? true
      if isNew && isOurs { return .sent(remoteID: remoteID, url: url) }
      // The refusal spoke of that other post, so it stays a refusal.
      if isRefused { return whenProven(settledAt, lookupAnsweredAt, checks: checks, now: now) }
      return again(checks: checks, now: now, why: "The post that was found belongs to another delivery or is older")
    case .absent:
      return whenProven(settledAt, lookupAnsweredAt, checks: checks, now: now)
    case .unknown(let why):
      if now < settledAt { return .lookAgain(at: settledAt) }
      if !absenceIsCertain { return .unconfirmed(why: why) }
      return again(checks: checks, now: now, why: why)
    }
  }

  /// Not there: counts when the platform's lists can prove it, and only from a look-up after the settling time.
  private func whenProven(_ settledAt: Date, _ lookupAnsweredAt: Date?, checks: Int, now: Date) -> ReconcileStep {
    if now < settledAt { return .lookAgain(at: settledAt) }
    guard absenceIsCertain else {
      return .unconfirmed(why: "The platform offers no way to prove that the post is not there")
    }
    guard let lookupAnsweredAt, lookupAnsweredAt >= settledAt else {
      return again(checks: checks, now: now, why: "No look-up was answered after the settling time")
    }
    return .publishAgain
  }

  /// What follows when the check itself failed (the platform is down, the plugin died).
  package func afterFailedCheck(checks: Int, retryAfter: TimeInterval?, now: Date, age: TimeInterval) -> ReconcileStep {
    // An outage says nothing about the post, so it is waited out; a person is asked only after a day.
    if age > 24 * 3600 { return .unconfirmed(why: "The platform could not be asked for a day") }
    let spacing = Self.checkSpacing * Double(min(checks + 1, 20))
    return .lookAgain(at: now.addingTimeInterval(max(retryAfter ?? 0, min(spacing, 300))))
  }

  private func again(checks: Int, now: Date, why: String) -> ReconcileStep {
    checks + 1 < maximumChecks ? .lookAgain(at: now.addingTimeInterval(Self.checkSpacing)) : .unconfirmed(why: why)
  }
}
