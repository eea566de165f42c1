package import FoundationEssentials
package import JSONText
package import PluginManifest

/// The memory of one delivery attempt: what it asked for, what was sent and what came back.
///
/// One instance serves one attempt of one delivery; its calls may overlap.
package protocol EffectJournal: Sendable {
  /// Called for `prepare`, `commit` and `billed` before the first byte; durable when it returns `.send`.
  ///
  /// A thrown error means that nothing may be sent; the plugin is told to try again.
  func begin(_ intent: EffectIntent) async throws -> EffectDecision

  /// Called exactly once for every ticket. The outcome is durable, or spooled, when it returns.
  func finish(_ ticket: EffectTicket, _ outcome: EffectOutcome) async

  /// Returns an answer that an earlier run of this attempt received, so that a replay sees the same world.
  ///
  /// Each stored answer is returned at most once per run, so that asking again asks the platform.
  func replayRead(step: String, digest: String) async -> StoredAnswer?

  /// Keeps the answer of a read, and what was captured from it; both are written with the next `started` row.
  func recordRead(_ record: ReadRecord) async

  /// Returns what an earlier step of the same delivery captured; nil if there is no such capture.
  func captured(_ handle: CaptureHandle) async throws -> CapturedValue?
}

extension EffectJournal {
  package func captured(_ handle: CaptureHandle) async throws -> CapturedValue? { nil }
}

/// A request with a side effect that a plugin asks for.
package struct EffectIntent: Sendable {
  package let step: String
  package let rule: EgressRule
  /// Class that counts: the rule's, or a stricter one that the plugin asked for.
  package let effectClass: EffectClass
  /// `d1:` and the SHA-256 over everything the plugin decided about this request.
  package let digest: String

  package init(step: String, rule: EgressRule, effectClass: EffectClass, digest: String) {
    self.step = step
    self.rule = rule
    self.effectClass = effectClass
    self.digest = digest
  }
}

/// The journal's answer to an intent.
package enum EffectDecision: Sendable {
  /// The `started` row is durable; the request may go out.
  case send(EffectTicket)
  /// The step is already done; its stored answer is given again.
  case replay(StoredAnswer)
  /// The request is not allowed now, such as after a cancel; nothing was written.
  case refuse(EgressError)
  /// An earlier try of this step may have happened; it is never sent again.
  case reconcile
}

/// Permission to send one journaled request.
package struct EffectTicket: Sendable, Equatable {
  /// Chosen by the journal.
  package let number: Int64
  /// The first byte may not leave after this instant, because the lease may then belong to another node.
  package let sendBefore: ContinuousClock.Instant?

  package init(number: Int64, sendBefore: ContinuousClock.Instant?) {
    self.number = number
    self.sendBefore = sendBefore
  }
}

/// How a journaled request ended.
package struct EffectOutcome: Sendable, Equatable {
  package enum Class: String, Sendable, CaseIterable {
    /// No byte left this machine.
    case notSent
    case accepted
    case rejected
    /// It may have happened.
    case unknown
  }

  package let outcome: Class
  /// HTTP status of a complete answer.
  package let status: Int?
  /// Exactly what the plugin was told; nil without a complete answer.
  package let answer: RawJSON?
  /// The platform's id of the new object, by the rule's `remoteId`.
  package let remoteID: String?
  /// The page of the new object, by the rule's `remoteUrl`.
  package let remoteURL: String?
  package let sentAt: Date?
  package let lastByteAt: Date?
  /// The `Date` header of the answer.
  package let platformDate: Date?
  /// Why there is no complete answer; safe to log.
  package let reason: String?
  package let rateLimit: RateLimitSnapshot?
  /// Secrets and addresses taken out of the answer; to be sealed and written in one transaction with the outcome.
  package let captures: [CapturedValue]

  package init(
    outcome: Class,
    status: Int? = nil,
    answer: RawJSON? = nil,
    remoteID: String? = nil,
    remoteURL: String? = nil,
    sentAt: Date? = nil,
    lastByteAt: Date? = nil,
    platformDate: Date? = nil,
    reason: String? = nil,
    rateLimit: RateLimitSnapshot? = nil,
    captures: [CapturedValue] = []
  ) {
    self.outcome = outcome
    self.status = status
    self.answer = answer
    self.remoteID = remoteID
    self.remoteURL = remoteURL
    self.sentAt = sentAt
    self.lastByteAt = lastByteAt
    self.platformDate = platformDate
    self.reason = reason
    self.rateLimit = rateLimit
    self.captures = captures
  }
}

/// An answer given before, to be given again.
package enum StoredAnswer: Sendable, Equatable {
  /// The bytes of `EffectOutcome.answer` or `ReadRecord.answer`.
  case result(RawJSON)
  /// The earlier try was not sent.
  case notSent
}

/// The complete answer of one read.
package struct ReadRecord: Sendable, Equatable {
  package let step: String
  package let rule: String
  package let digest: String
  package let status: Int
  /// Exactly what the plugin was told.
  package let answer: RawJSON
  package let sentAt: Date
  package let lastByteAt: Date
  package let platformDate: Date?
  /// Whether the rule counts as a search for lost posts.
  package let isLookup: Bool
  /// Secrets and addresses taken out of the answer.
  package let captures: [CapturedValue]

  package init(
    step: String,
    rule: String,
    digest: String,
    status: Int,
    answer: RawJSON,
    sentAt: Date,
    lastByteAt: Date,
    platformDate: Date?,
    isLookup: Bool,
    captures: [CapturedValue] = []
  ) {
    self.step = step
    self.rule = rule
    self.digest = digest
    self.status = status
    self.answer = answer
    self.sentAt = sentAt
    self.lastByteAt = lastByteAt
    self.platformDate = platformDate
    self.isLookup = isLookup
    self.captures = captures
  }
}
