import HTTPServer
import Identity
import JSONDocument

/// One request after the token and its parameters were checked.
struct APIContext: Sendable {
  let request: HTTPRequest
  let endpoint: Endpoint
  /// Nil for open operations.
  let principal: Principal?
  /// What ``Admission`` found.
  let admittedSite: Int64?
  let query: QueryParameters
  /// The checked body; null for operations without one.
  let body: JSONValue
  let services: APIServices

  /// The site of the request, in which the caller may do what the operation declares.
  func site() throws -> Int64 {
    guard let admittedSite else { preconditionFailure("\(endpoint.path) asks for a site without declaring it") }
    return admittedSite
  }

  /// The caller; only for operations that need a token.
  func caller() throws -> Principal {
    guard let principal else { throw HTTPProblem.unauthorized }
    return principal
  }

  func id(_ name: String = "id") throws -> Int64 {
    let value = try request.parameters.int64(name)
    guard value > 0 else {
      throw HTTPProblem(
        status: 400,
        code: "outOfRange",
        message: "\(name) in the path is \(value); allowed are whole numbers from 1",
        field: name
      )
    }
    return value
  }

  func pageLimit() throws -> Int { try query.int("limit", 1...100) ?? 50 }

  func cursor() throws -> Int64? { try query.int64("cursor", 1...Int64.max) }

  /// The version that `If-Match` names; nil when the header is missing or `*`.
  func expectedVersion() throws -> Int? {
    guard let text = request.headers["if-match"], text != "*" else { return nil }
    let digits =
      text.hasPrefix("\"") && text.hasSuffix("\"") && text.count > 2 ? String(text.dropFirst().dropLast()) : text
    guard let version = Int(digits), version > 0 else {
      throw HTTPProblem(
        status: 400,
        code: "notAllowed",
        message: "If-Match is “\(text.prefix(40))”; allowed is the version in quotes, such as \"3\", or *",
        field: "If-Match"
      )
    }
    return version
  }

  // MARK: Members of the checked body

  func string(_ name: String) -> String? { body.objectValue?[name]?.stringValue }
  func int64(_ name: String) -> Int64? { body.objectValue?[name]?.int64Value }
  func bool(_ name: String) -> Bool? { body.objectValue?[name]?.boolValue }
  func has(_ name: String) -> Bool { body.objectValue?[name] != nil }
  func strings(_ name: String) -> [String]? { body.objectValue?[name]?.arrayValue?.compactMap(\.stringValue) }
  func int64s(_ name: String) -> [Int64]? { body.objectValue?[name]?.arrayValue?.compactMap(\.int64Value) }
  func member(_ name: String) -> JSONValue? { body.objectValue?[name] }
}

extension HTTPProblem {
  /// The refusal of a request for which there is no room in its bucket; nil when there is.
  static func tooMany(_ decision: RateLimiter.Decision) -> HTTPProblem? {
    if decision.isAllowed { return nil }
    let seconds = max(1, Int(decision.retryAfter.rounded(.up)))
    return HTTPProblem(
      status: 429,
      code: "too_many_requests",
      message: "Too many requests; try again in \(seconds) s",
      headers: ["retry-after": "\(seconds)"]
    )
  }

  static let unauthorized = HTTPProblem(
    status: 401,
    code: "unauthorized",
    message: "The request has no valid token; send “Authorization: Bearer rst_…” (see `rostrum token create`)",
    headers: ["www-authenticate": "Bearer"]
  )

  /// Something that begins like a token and can not be one.
  static let brokenToken = HTTPProblem(
    status: 401,
    code: "unauthorized",
    message: "The token was not copied whole: its last characters do not fit the others",
    headers: ["www-authenticate": "Bearer"]
  )

  /// A change that a browser sent for a page that is not ours, or that does not say which.
  static let foreignPage = HTTPProblem(
    status: 403,
    code: "foreign_page",
    message: "A session's cookie counts only for requests of this host's own pages; programs send a token instead"
  )
}
