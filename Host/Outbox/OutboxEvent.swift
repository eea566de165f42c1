package import FoundationEssentials
package import Postgres

/// One row of the outbox.
package struct OutboxEvent: Sendable, Equatable {
  /// The site of what belongs to no site: plugins, and the host itself.
  package static let hostSite: Int64 = 0

  /// Names the event for ever, over all hosts.
  package var eventID: UUID
  package var site: Int64
  /// Such as `delivery.sent`.
  package var kind: String
  /// The row that it is about.
  package var subject: Int64
  /// A JSON object.
  package var data: String
  package var createdAt: Date

  package init(eventID: UUID, site: Int64, kind: String, subject: Int64, data: String, createdAt: Date) {
    self.eventID = eventID
    self.site = site
    self.kind = kind
    self.subject = subject
    self.data = data
    self.createdAt = createdAt
  }

  /// The columns that ``init(_:)`` reads, for a statement over `outbox o`.
  package static let columns: SQL =
    "o.event_id, o.site_id, o.kind, o.subject_id, o.data::text AS data, o.created_at"

  package init(_ row: Row) throws(PostgresError) {
    eventID = try row.get("event_id")
    site = try row.get("site_id")
    kind = try row.get("kind")
    subject = try row.get("subject_id")
    data = try row.get("data")
    createdAt = try row.get("created_at")
  }
}
