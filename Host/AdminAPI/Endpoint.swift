import HTTPServer
import Identity
import JSONDocument

/// One operation of the API: everything that the router, the checks and `/openapi.json` need to know of it.
struct Endpoint: Sendable {
  /// Who may call an operation.
  enum Access: Sendable {
    /// Anybody, without a token.
    case open
    /// Whoever has a valid token or session. A site that the query names must be in reach.
    case signedIn
    /// A person with a session, not a program with a token.
    case person
    /// Somebody who looks after the whole host.
    case operatorOnly
    /// A role in the site of the request.
    case site(Permission)
    /// A role in the site that `{id}` of the path names. Operators see every site.
    case siteInPath(Permission)
    /// A role in the site of the request. Operators see every site, and all together when they name none.
    case siteOrHost(Permission)
  }

  /// What an operation answers when all goes well.
  enum Success: Sendable {
    case json(Int, Schema)
    case page(Schema)
    /// Something else than JSON, by its media type.
    case other(String)
    /// A browser is sent on, or shown a page (400) when it can not be.
    case redirect
  }

  let method: HTTPMethod
  let path: String
  let summary: String
  let access: Access
  var query: [Schema.Field] = []
  var body: Schema?
  /// Whether others decide what the address holds; the handler looks at it.
  var takesAnyQuery = false
  /// Whether the body is a file instead of JSON.
  var isUpload = false
  /// Whether the operation is safe to repeat without a key.
  var isSettledByItself = false
  var success: Success
  /// The refusals beyond the common ones.
  var refusals: [Int] = []
  let handler: @Sendable (APIContext) async throws -> HTTPResponse

  /// Whether a client may send `Idempotency-Key`.
  ///
  /// On every operation that makes something, but not where doing it twice changes nothing.
  var isCreate: Bool { method == .post && (body != nil || isUpload) && !isSettledByItself }

  /// The names in the path's template.
  var parameters: [String] {
    path.split(separator: "/").filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) }
  }
}

extension Schema.Field {
  static let siteID = Schema.Field.optional(
    "siteId",
    .id,
    "The site; may be left out when the token reaches exactly one"
  )
  static let cursor = Schema.Field.optional("cursor", .id, "The `nextCursor` of the page before")
  static let limit = Schema.Field.optional("limit", .integer(1...100), "Rows of a page; 50 when left out")
}
