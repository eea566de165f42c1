package import Egress
package import FoundationEssentials
internal import JSONDocument
package import PluginManifest
package import PluginProtocol

/// What is known of the end of an outside request.
package typealias OutcomeClass = EffectOutcome.Class

/// The name of one outside request of a delivery.
package struct EffectKey: Sendable, Hashable {
  package var run: Int
  package var step: String
  /// Counts from 1 within the run and step.
  package var attempt: Int

  package init(run: Int, step: String, attempt: Int) {
    self.run = run
    self.step = step
    self.attempt = attempt
  }
}

/// One row of the effect journal.
package struct EffectRecord: Sendable, Equatable {
  /// The mark in ``closedBy`` of an accepted prepare whose answer can not be used any more.
  package static let forgotten = "forgotten"

  /// The step and rule of a commit that another copy of the database may have seen. No plugin's step has such a name.
  package static let lostStep = "(lost)"

  package var key: EffectKey
  package var rule: String
  package var effectClass: EffectClass
  package var digest: String
  /// Nil while nothing is known of the end.
  package var outcome: OutcomeClass?
  package var status: Int?
  /// What the plugin was answered, as JSON text.
  package var answer: String?
  package var remoteID: String?
  /// The page of the new object, where the rule tells it.
  package var remoteURL: String?
  /// The claim that sent it, by its fence: a later claim of the same job is another attempt, counted or not.
  package var claim: Int64
  package var startedAt: Date
  package var sentAt: Date?
  /// The last instant at which a byte of it may have reached the platform.
  package var lastByteAt: Date?
  package var platformDate: Date?
  /// Who settled an outcome that stayed unknown; nil when the platform's answer did.
  package var closedBy: String?

  /// Whether the platform answered completely and refused. Such a commit is open only where the manifest says that the
  /// refusal may mean success.
  package var isRefusal: Bool {
    guard answer != nil, let status else { return false }
    return (400..<500).contains(status) && ![408, 409, 425, 429].contains(status)
  }

  package init(
    key: EffectKey,
    rule: String,
    effectClass: EffectClass,
    digest: String,
    outcome: OutcomeClass? = nil,
    status: Int? = nil,
    answer: String? = nil,
    remoteID: String? = nil,
    remoteURL: String? = nil,
    claim: Int64 = 1,
    startedAt: Date,
    sentAt: Date? = nil,
    lastByteAt: Date? = nil,
    platformDate: Date? = nil,
    closedBy: String? = nil
  ) {
    self.key = key
    self.rule = rule
    self.effectClass = effectClass
    self.digest = digest
    self.outcome = outcome
    self.status = status
    self.answer = answer
    self.remoteID = remoteID
    self.remoteURL = remoteURL
    self.claim = claim
    self.startedAt = startedAt
    self.sentAt = sentAt
    self.lastByteAt = lastByteAt
    self.platformDate = platformDate
    self.closedBy = closedBy
  }

  /// The record as the wire shows it to an adapter that asks the platform.
  package var evidence: Evidence {
    Evidence(
      step: key.step,
      rule: rule,
      effectClass: effectClass.rawValue,
      attempt: Int64(key.attempt),
      state: outcome == nil ? "started" : "done",
      outcome: outcome?.rawValue,
      status: status.map(Int64.init),
      sentAt: RFC3339.format(sentAt ?? startedAt),
      lastByteAt: lastByteAt.map(RFC3339.format),
      remoteID: remoteID
    )
  }

  /// Whether the row stands for requests that nothing is known of, because the database lost what was written last.
  package var isLost: Bool { key.step == Self.lostStep }

  /// Whether a commit may have happened without anybody knowing.
  package var isOpenCommit: Bool {
    effectClass == .commit && (outcome == nil || outcome == .unknown)
  }
}
