package import FoundationEssentials
internal import Postgres

/// An address that events of a site are sent to.
package struct WebhookEndpoint: Sendable, Equatable {
  package var id: Int64
  package var site: Int64
  /// May hold a key of the receiver's, so it is shown to administrators only and stands in no log.
  package var url: String
  package var description: String
  /// Patterns; empty: all events.
  package var eventTypes: [String]
  /// Whether events that belong to no site come too.
  package var takesHostEvents: Bool
  package var isActive: Bool
  /// `gone` or `failing` when the host stopped sending by itself.
  package var disabledReason: String?
  /// Until when the secret before the last rotation still signs.
  package var previousSecretUntil: Date?
  /// Requests that failed one after the other.
  package var failures: Int
  package var failingSince: Date?
  package var lastSuccessAt: Date?
  package var createdAt: Date
  package var updatedAt: Date

  static let columns: SQL = """
    e.id, e.site_id, e.url, e.description, e.event_types, e.takes_host_events, e.is_active, e.disabled_reason,
    e.previous_until, e.failures, e.failing_since, e.last_success_at, e.created_at, e.updated_at
    """

  init(_ row: Row) throws(PostgresError) {
    id = try row.get("id")
    site = try row.get("site_id")
    url = try row.get("url")
    description = try row.get("description")
    eventTypes = try row.get("event_types")
    takesHostEvents = try row.get("takes_host_events")
    isActive = try row.get("is_active")
    disabledReason = try row.get("disabled_reason")
    previousSecretUntil = try row.get("previous_until")
    failures = Int(try row.get("failures", as: Int32.self))
    failingSince = try row.get("failing_since")
    lastSuccessAt = try row.get("last_success_at")
    createdAt = try row.get("created_at")
    updatedAt = try row.get("updated_at")
  }
}

/// One event for one endpoint.
package struct WebhookMessage: Sendable, Equatable {
  package enum State: String, Sendable, CaseIterable {
    case pending, delivered, failed
  }

  package var id: Int64
  package var endpoint: Int64
  /// The `webhook-id` of every try and replay.
  package var eventID: String
  package var kind: String
  package var state: State
  package var attempts: Int
  package var createdAt: Date
  package var endedAt: Date?
  /// What is sent.
  package var body: String

  static let columns: SQL = """
    m.id, m.endpoint_id, m.event_id, m.kind, m.state, m.attempts, m.created_at, m.ended_at, m.body
    """

  init(_ row: Row) throws(PostgresError) {
    id = try row.get("id")
    endpoint = try row.get("endpoint_id")
    eventID = WebhookBody.id(try row.get("event_id"))
    kind = try row.get("kind")
    state = State(rawValue: try row.get("state")) ?? .pending
    attempts = Int(try row.get("attempts", as: Int32.self))
    createdAt = try row.get("created_at")
    endedAt = try row.get("ended_at")
    body = try row.get("body")
  }
}

/// One request of a message.
package struct WebhookAttempt: Sendable, Equatable {
  package var requestedAt: Date
  /// Nil when no whole answer came.
  package var status: Int?
  package var milliseconds: Int
  package var error: String?
  /// The first bytes of the answer.
  package var answer: String?

  static let columns: SQL = "a.requested_at, a.status, a.duration_ms, a.error, a.answer"

  init(_ row: Row) throws(PostgresError) {
    requestedAt = try row.get("requested_at")
    status = try row.get("status", as: Int16?.self).map(Int.init)
    milliseconds = Int(try row.get("duration_ms", as: Int32.self))
    error = try row.get("error")
    answer = try row.get("answer")
  }
}
