/// An error that knows how it is told to the client.
///
/// Errors that do not conform become a 500 with the request's id and no details.
package protocol HTTPError: Error {
  /// What the client is told; it must hold no secret.
  var problem: HTTPProblem { get }
}

/// A refusal: status, a code for programs and a message for people.
package struct HTTPProblem: HTTPError, Sendable, Equatable, CustomStringConvertible {
  package var status: Int
  /// A word for programs, such as `notFound`.
  package var code: String
  /// A sentence for people: what is wrong and what is allowed.
  package var message: String
  /// The field of the body or query the problem is about.
  package var field: String?
  /// One valid JSON value with more about the problem.
  package var detailsJSON: String?
  /// Fields added to the answer, such as `allow` or `retry-after`.
  package var headers: HTTPHeaders

  package init(
    status: Int,
    code: String,
    message: String,
    field: String? = nil,
    detailsJSON: String? = nil,
    headers: HTTPHeaders = [:]
  ) {
    self.status = status
    self.code = code
    self.message = message
    self.field = field
    self.detailsJSON = detailsJSON
    self.headers = headers
  }

  package var problem: HTTPProblem { self }
  package var description: String { "\(status) \(code): \(message)" }

  package static func badRequest(_ message: String, field: String? = nil) -> HTTPProblem {
    HTTPProblem(status: 400, code: "badRequest", message: message, field: field)
  }

  package static func notFound(_ message: String = "There is nothing at this address") -> HTTPProblem {
    HTTPProblem(status: 404, code: "notFound", message: message)
  }

  package static func methodNotAllowed(_ allowed: [HTTPMethod]) -> HTTPProblem {
    let list = allowed.map(\.rawValue).joined(separator: ", ")
    return HTTPProblem(
      status: 405,
      code: "methodNotAllowed",
      message: "This address takes \(list)",
      headers: ["allow": list]
    )
  }

  package static let requestTimeout = HTTPProblem(
    status: 408,
    code: "requestTimeout",
    message: "The request came too slowly"
  )

  package static func bodyTooLarge(_ limit: Int) -> HTTPProblem {
    HTTPProblem(status: 413, code: "bodyTooLarge", message: "The body is too large; at most \(limit) bytes are allowed")
  }

  package static func headersTooLarge(_ limit: Int) -> HTTPProblem {
    HTTPProblem(
      status: 431,
      code: "headersTooLarge",
      message: "The header fields are too large; at most \(limit) bytes are allowed"
    )
  }

  package static func internalError(requestID: String) -> HTTPProblem {
    HTTPProblem(
      status: 500,
      code: "internalError",
      message: "Something went wrong on the server; its log has the details under request \(requestID)"
    )
  }

  /// The server cannot answer now; the client may try again after `seconds`.
  package static func unavailable(_ message: String, retryAfter seconds: Int = 1) -> HTTPProblem {
    HTTPProblem(status: 503, code: "unavailable", message: message, headers: ["retry-after": "\(seconds)"])
  }

  /// The answer in the API's envelope: `{"success":false,"error":{"code","message","field","details"}}`.
  package func response() -> HTTPResponse {
    var json = "{\"success\":false,\"error\":{\"code\":\(Self.quoted(code)),\"message\":\(Self.quoted(message))"
    if let field { json += ",\"field\":\(Self.quoted(field))" }
    if let detailsJSON { json += ",\"details\":\(detailsJSON)" }
    json += "}}"
    var response = HTTPResponse.json(json, status: status)
    for field in headers.fields { response.headers.set(field.name, field.value) }
    return response
  }

  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\u{0}"..<" ":
        let hex = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}

/// The client left before its request was over.
package struct ClientGone: Error, CustomStringConvertible {
  package init() {}
  package var description: String { "The client closed the connection" }
}
