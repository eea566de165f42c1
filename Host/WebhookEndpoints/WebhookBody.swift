package import FoundationEssentials
internal import JSONDocument
package import Outbox

/// The body of a message, version 1: small, and the same bytes on every try.
package enum WebhookBody {
  /// Raised when a member changes its meaning or goes away; new members do not raise it.
  package static let version: Int64 = 1

  /// The `webhook-id` of an event.
  package static func id(_ event: UUID) -> String {
    "evt_" + event.uuidString.lowercased().filter { $0 != "-" }
  }

  package static func text(_ event: OutboxEvent) throws -> String {
    let body: JSONValue = [
      "id": .string(id(event.eventID)), "type": .string(event.kind), "version": .int(version),
      "timestamp": .string(RFC3339.format(event.createdAt)),
      "siteId": event.site == OutboxEvent.hostSite ? .null : .int(event.site),
      "data": try JSONValue.parse(Array(event.data.utf8)),
    ]
    return body.text()
  }
}
