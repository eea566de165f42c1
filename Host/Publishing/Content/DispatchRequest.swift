package import FoundationEssentials
package import JSONText
package import JobQueue
package import Postgres

/// What a person asks to be sent.
package struct DispatchRequest: Sendable {
  package var siteID: Int64
  package var postID: Int64
  package var connectionIDs: [Int64]
  package var targetIDs: [Int64]
  /// Nil: now. An instant in the past is due at once, in the order of the instants.
  package var scheduledFor: Date?
  /// `{customMessage?, overrides?, requestAiAssets?}` as JSON text.
  package var options: RawJSON
  package var userID: Int64?
  package var isManual: Bool
  /// Nil: what is sent now goes before what is planned.
  package var priority: JobPriority?
  /// Whether the accounts may say again what they said a short time ago.
  package var allowsRepeats: Bool

  package init(
    siteID: Int64,
    postID: Int64,
    connectionIDs: [Int64],
    targetIDs: [Int64],
    scheduledFor: Date?,
    options: RawJSON,
    userID: Int64?,
    isManual: Bool = true,
    priority: JobPriority? = nil,
    allowsRepeats: Bool = false
  ) {
    self.siteID = siteID
    self.postID = postID
    self.connectionIDs = connectionIDs
    self.targetIDs = targetIDs
    self.scheduledFor = scheduledFor
    self.options = options
    self.userID = userID
    self.isManual = isManual
    self.priority = priority
    self.allowsRepeats = allowsRepeats
  }
}

/// What was accepted.
package struct Dispatched: Sendable, Equatable {
  package struct Delivery: Sendable, Equatable {
    package var id: Int64
    package var connectionID: Int64
    package var targetID: Int64?
    package var platform: String
    package var state: DeliveryState
  }

  package var distributionID: Int64
  package var postVersion: Int
  package var scheduledFor: Date
  package var deliveries: [Delivery]
  package var warnings: [String]
}

/// Statements of a caller that belong to the transaction of a distribution.
package struct DispatchRecord: Sendable {
  /// Before everything else, such as taking an idempotency key.
  package var first: [SQL]
  /// When the rows are there.
  package var last: [SQL]

  package init(first: [SQL] = [], last: [SQL] = []) {
    self.first = first
    self.last = last
  }
}
