/// The state of one delivery: one post version on its way to one account.
///
/// Open states are the queue table that holds the delivery's job; ends are stored in `deliveries.ended_as`.
package enum DeliveryState: String, Sendable, CaseIterable {
  /// Due in the future, not tried yet.
  case pending
  /// Due, waiting for its account's turn.
  case queued
  /// Claimed by a host; a request may be on its way.
  case sending
  /// Due in the future again after an attempt, or put off by the platform.
  case retrying
  /// The platform has it.
  case sent
  /// The platform has some of its segments.
  case partial
  /// It is not on the platform and will not be sent without a person.
  case failed
  /// The platform may or may not have it; a person answers.
  case unconfirmed
  /// Withdrawn before anything was sent.
  case canceled

  /// Whether nothing moves without a person (or a late outcome) any more.
  package var isEnd: Bool {
    switch self {
    case .pending, .queued, .sending, .retrying: false
    case .sent, .partial, .failed, .unconfirmed, .canceled: true
    }
  }

  /// The word the queue counters of the API use for this state.
  package var queueWord: String? {
    switch self {
    case .pending, .retrying: "delayed"
    case .queued: "waiting"
    case .sending: "active"
    case .sent: "completed"
    case .partial, .failed, .unconfirmed: "failed"
    case .canceled: nil
    }
  }

  /// The word the logs and schedules of the API use for this state.
  package var logWord: String {
    switch self {
    case .pending, .retrying: "pending"
    case .queued, .sending: "queued"
    case .sent, .partial: "sent"
    case .failed, .unconfirmed: "failed"
    case .canceled: "canceled"
    }
  }
}

/// What can happen to a delivery.
package enum DeliveryEvent: Sendable, Equatable, CaseIterable {
  case becameDue
  case claimed
  case released
  case retryPlanned
  case published
  case publishedInPart
  case gaveUp
  case leftUnknown
  case withdrawn
  /// Withdrawn after an earlier run had published a part.
  case withdrawnInPart
  /// A person asked for another try.
  case askedAgain
  /// An outcome that was thought lost arrived, or a person confirmed the post.
  case confirmed
  /// A person posted by hand what could not be sent.
  case postedByHand
}

extension DeliveryState {
  /// The state after `event`, or nil when the move is not allowed.
  ///
  /// This table is the one place that decides. SQL guards the same moves, and a generated test compares the two.
  package func after(_ event: DeliveryEvent) -> DeliveryState? {
    switch (self, event) {
    case (.pending, .becameDue), (.retrying, .becameDue): .queued
    case (.queued, .claimed): .sending
    case (.sending, .released): .queued
    case (.sending, .retryPlanned): .retrying
    case (.sending, .published): .sent
    case (.sending, .publishedInPart): .partial
    case (.sending, .gaveUp): .failed
    case (.sending, .leftUnknown): .unconfirmed
    case (.pending, .withdrawn), (.queued, .withdrawn), (.retrying, .withdrawn), (.sending, .withdrawn): .canceled
    case (.pending, .withdrawnInPart), (.queued, .withdrawnInPart), (.retrying, .withdrawnInPart),
      (.sending, .withdrawnInPart):
      .partial
    case (.failed, .askedAgain), (.partial, .askedAgain), (.unconfirmed, .askedAgain): .queued
    case (.unconfirmed, .confirmed), (.failed, .postedByHand): .sent
    case (.unconfirmed, .gaveUp): .failed
    case (.unconfirmed, .publishedInPart): .partial
    default: nil
    }
  }
}
