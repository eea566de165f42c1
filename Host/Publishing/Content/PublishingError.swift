/// Why a request about content, accounts or deliveries was refused. Safe to show to the person who asked.
package struct PublishingError: Error, Sendable, Equatable, CustomStringConvertible {
  package enum Kind: Sendable {
    /// There is no such thing in this site.
    case notFound
    /// A value is wrong.
    case invalid
    /// The thing has changed, or is in a state that does not allow it.
    case conflict
    /// Something else is not working right now.
    case unavailable
    /// The platform refused.
    case refusedByPlatform
  }

  package var kind: Kind
  /// A stable word for programs, such as `post_not_found`.
  package var code: String
  package var message: String
  /// The field of the request that is wrong.
  package var field: String?
  /// More, as JSON text; for example the findings of a validation.
  package var details: String?

  package init(_ kind: Kind, _ code: String, _ message: String, field: String? = nil, details: String? = nil) {
    self.kind = kind
    self.code = code
    self.message = message
    self.field = field
    self.details = details
  }

  package static func notFound(_ what: String, _ id: Int64, field: String? = nil) -> PublishingError {
    let code = what.replacing(" ", with: "_") + "_not_found"
    return PublishingError(.notFound, code, "There is no \(what) \(id) in this site", field: field)
  }

  package var description: String { "\(code): \(message)" }
}
