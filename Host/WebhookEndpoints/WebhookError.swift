/// Why an endpoint could not be stored or used; safe to show.
package struct WebhookError: Error, Sendable, Equatable, CustomStringConvertible {
  package enum Kind: Sendable {
    case notFound
    case invalid
    case conflict
  }

  package let kind: Kind
  /// A stable word for programs.
  package let code: String
  package let message: String
  package let field: String?

  init(_ kind: Kind, _ code: String, _ message: String, field: String? = nil) {
    self.kind = kind
    self.code = code
    self.message = message
    self.field = field
  }

  static func endpointNotFound(_ id: Int64) -> WebhookError {
    WebhookError(.notFound, "webhook_not_found", "There is no webhook \(id) in this site")
  }

  static func messageNotFound(_ id: Int64) -> WebhookError {
    WebhookError(.notFound, "message_not_found", "There is no message \(id) of this webhook")
  }

  package var description: String { message }
}
