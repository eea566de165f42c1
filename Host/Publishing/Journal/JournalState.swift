import Egress
package import FoundationEssentials
package import PluginManifest

/// What a rule of the manifest says that matters for replay.
package struct EffectRule: Sendable {
  package var name: String
  package var effectClass: EffectClass
  /// A prepare that may be sent again after an unknown outcome.
  package var repeatable: Bool
  /// How long the answer of a prepare can be used; nil for ever.
  package var validFor: TimeInterval?
  /// How long the platform honours a client-chosen key of this commit; nil when it knows none.
  package var idempotencyWindow: TimeInterval?

  package init(
    name: String,
    effectClass: EffectClass,
    repeatable: Bool = false,
    validFor: TimeInterval? = nil,
    idempotencyWindow: TimeInterval? = nil
  ) {
    self.name = name
    self.effectClass = effectClass
    self.repeatable = repeatable
    self.validFor = validFor
    self.idempotencyWindow = idempotencyWindow
  }

  /// - Parameter effectClass: the class that counts, when a request is stricter than its rule.
  package init(_ rule: EgressRule, effectClass: EffectClass? = nil) {
    self.init(
      name: rule.name,
      effectClass: effectClass ?? rule.effectClass,
      repeatable: rule.isRepeatable,
      validFor: rule.validFor.map { TimeInterval($0.components.seconds) },
      idempotencyWindow: rule.idempotency.map { TimeInterval($0.window.components.seconds) }
    )
  }

  /// The part of the window that is used: a quarter is kept back, because the platform's clock is not ours.
  package var safeIdempotencyWindow: TimeInterval? { idempotencyWindow.map { $0 * 0.75 } }
}

/// What to do with a request that a plugin asks for.
package enum ReplayDecision: Sendable, Equatable {
  /// Write the started row under this key, then send.
  case send(EffectKey)
  /// Answer from the journal; nothing leaves the host.
  case replay(EffectRecord)
  /// It can not be known whether it happened: nothing is sent, the delivery is reconciled.
  case reconcile
  /// The step is on its way already.
  case busy
}

/// The journal of one delivery as its running attempt sees it: a value with the rules of replay, no I/O.
///
/// Every rule of "what may be sent again" is in ``decide(rule:step:digest:at:)``.
package struct JournalState: Sendable {
  package let run: Int
  /// The fence of the running claim.
  package let claim: Int64
  package private(set) var records: [EffectRecord]
  /// Requests that this attempt has on their way.
  private var inFlight: Set<EffectKey> = []
  /// The commits that the plugin asked for since it was started.
  private var askedCommits: Set<String> = []

  package init(run: Int, claim: Int64, records: [EffectRecord] = []) {
    self.run = run
    self.claim = claim
    self.records = records
  }

  /// The accepted commits of all runs, oldest first.
  package var acceptedCommits: [EffectRecord] {
    records.filter { $0.effectClass == .commit && $0.outcome == .accepted }
  }

  /// The commits that may have happened without anybody knowing, less those on their way right now.
  ///
  /// The last try of a step speaks for the ones before: a later try exists only where the platform honours our key, or
  /// where it was certain that the earlier one had not happened.
  package var openCommits: [EffectRecord] {
    records.filter { record in
      record.isOpenCommit && !inFlight.contains(record.key)
        && !records.contains {
          $0.key.run == record.key.run && $0.key.step == record.key.step && $0.key.attempt > record.key.attempt
        }
    }
  }

  /// What is public of the delivery: one accepted commit for each post, oldest first.
  package var published: [EffectRecord] {
    var seen = Set<String>()
    return acceptedCommits.filter { seen.insert($0.key.step).inserted }
  }

  package var hasAcceptedCommit: Bool { !acceptedCommits.isEmpty }

  /// Decides what happens with a request of class prepare or commit.
  package mutating func decide(rule: EffectRule, step: String, digest: String, at now: Date) -> ReplayDecision {
    let decision = decision(rule: rule, step: step, digest: digest, at: now)
    guard rule.effectClass == .commit else { return decision }
    askedCommits.insert(step)
    guard case .send = decision, acceptedCommits.contains(where: { !askedCommits.contains($0.key.step) }) else {
      return decision
    }
    // A replay asks for everything that was accepted before it comes to something new. This one does not, so the new
    // request may be the old one under another name.
    return .reconcile
  }

  private func decision(rule: EffectRule, step: String, digest: String, at now: Date) -> ReplayDecision {
    if let carried = acceptedEarlier(step: step, rule: rule) { return .replay(carried) }
    guard let last = records.last(where: { $0.key.run == run && $0.key.step == step }) else {
      return .send(EffectKey(run: run, step: step, attempt: 1))
    }
    if inFlight.contains(last.key) { return .busy }
    let next = EffectKey(run: run, step: step, attempt: last.key.attempt + 1)
    if last.digest != digest {
      // Another body under the same name: work nobody sees is done again, a commit is never sent on a guess.
      return rule.effectClass == .commit && last.outcome != .rejected && last.outcome != .notSent
        ? .reconcile : .send(next)
    }
    switch last.outcome {
    case .accepted:
      return isExpired(last, rule: rule, at: now) ? .send(next) : .replay(last)
    case .rejected, .notSent:
      guard last.answer != nil || last.outcome == .notSent else { return .send(next) }
      // A refusal that looked like a success (“duplicate”) and was found not to be one stays a refusal in this run.
      let isSettled = last.outcome == .rejected && last.closedBy != nil
      return isSettled || (last.claim == claim && last.closedBy == nil) ? .replay(last) : .send(next)
    case .unknown, nil:
      return mayRepeat(last, rule: rule, step: step, at: now) ? .send(next) : .reconcile
    }
  }

  /// Whether every open commit may simply be sent again under its client-chosen key.
  package func canResend(rules: [String: EffectRule], at now: Date) -> Bool {
    openCommits.allSatisfy { record in
      guard let rule = rules[record.rule] else { return false }
      return mayRepeat(record, rule: rule, step: record.key.step, at: now)
    }
  }

  /// Notes that the started row of a request is durable and the request is on its way.
  package mutating func started(_ record: EffectRecord) {
    records.append(record)
    inFlight.insert(record.key)
  }

  /// Notes the end of a request.
  package mutating func ended(_ record: EffectRecord) {
    inFlight.remove(record.key)
    guard let index = records.firstIndex(where: { $0.key == record.key }) else { return }
    records[index] = record
  }

  /// Takes back ``started(_:)``: the row was refused, nothing left.
  package mutating func withdrawn(_ key: EffectKey) {
    inFlight.remove(key)
    records.removeAll { $0.key == key }
  }

  /// An accepted step of an earlier run: it carries over, so that a partial thread goes on where it stopped. Its body
  /// does not matter: what is public is never sent a second time, whatever was edited since.
  private func acceptedEarlier(step: String, rule: EffectRule) -> EffectRecord? {
    guard rule.effectClass == .commit else { return nil }
    return records.last {
      $0.key.run < run && $0.key.step == step && $0.effectClass == .commit && $0.outcome == .accepted
    }
  }

  private func isExpired(_ record: EffectRecord, rule: EffectRule, at now: Date) -> Bool {
    guard rule.effectClass == .prepare else { return false }
    if record.closedBy == EffectRecord.forgotten { return true }
    guard let validFor = rule.validFor else { return false }
    return now.timeIntervalSince(record.startedAt) > validFor
  }

  private func mayRepeat(_ record: EffectRecord, rule: EffectRule, step: String, at now: Date) -> Bool {
    switch rule.effectClass {
    case .read, .billed: return false
    case .prepare: return rule.repeatable
    case .commit:
      guard let window = rule.safeIdempotencyWindow else { return false }
      // The window counts from the first time the key was used.
      let first = records.first { $0.key.run == record.key.run && $0.key.step == step }?.startedAt ?? record.startedAt
      return now.timeIntervalSince(first) < window
    }
  }
}
