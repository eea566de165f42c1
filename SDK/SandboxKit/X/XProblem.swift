/// The error bodies of the platform X.
struct XProblem: Error, Sendable {
  let status: Int
  let body: [UInt8]
  var hasEmptyType = false

  /// 400: a parameter with the platform's sentence about it.
  static func invalid(_ message: String, parameter: String? = nil, values: [String] = []) -> XProblem {
    let body = JSONWriter.object {
      $0.array("errors") {
        $0.object {
          $0.object("parameters") {
            if let parameter { $0.array(parameter) { for value in values { $0.string(value) } } }
          }
          $0.member("message", message)
        }
      }
      $0.member("title", "Invalid Request")
      $0.member("detail", "One or more parameters to your request was invalid.")
      $0.member("type", "https://api.twitter.com/2/problems/invalid-request")
    }
    return XProblem(status: 400, body: body)
  }

  /// A field that the schema does not have.
  static func unknownField(_ path: String) -> XProblem {
    invalid(
      "$.\(path): is not defined in the schema and the schema does not allow additional properties",
      parameter: path
    )
  }

  static let unauthorized = plain(401, title: "Unauthorized", detail: "Unauthorized")

  static func forbidden(_ detail: String) -> XProblem { plain(403, title: "Forbidden", detail: detail) }

  static let notPermitted = forbidden("You are not permitted to perform this action.")
  static let duplicate = forbidden("You are not allowed to create a Tweet with duplicate content.")
  static let unsummonedReply = forbidden(
    "Reply to this conversation is not allowed because you have not been mentioned or otherwise engaged by the author "
      + "of the post you are replying to."
  )
  static let quote = forbidden(
    "Quoting this post is not allowed because you have not been mentioned or are not part of the conversation thread."
  )
  static let tooManyRequests = plain(429, title: "Too Many Requests", detail: "Too Many Requests")
  static let notFound = plain(404, title: "Not Found", detail: "Not Found")

  static func creditsDepleted(account: String) -> XProblem {
    let body = JSONWriter.object {
      $0.member("title", "CreditsDepleted")
      $0.member("detail", "Your enrolled account [\(account)] does not have any credits to fulfill this request.")
      $0.member("type", "https://api.twitter.com/2/problems/credits")
    }
    return XProblem(status: 402, body: body)
  }

  static let unsupportedAuthentication: XProblem = {
    let body = JSONWriter.object {
      $0.member("title", "Unsupported Authentication")
      $0.member(
        "detail",
        "Authenticating with OAuth 2.0 Application-Only is forbidden for this endpoint.  Supported authentication types "
          + "are [OAuth 1.0a User Context, OAuth 2.0 User Context]."
      )
      $0.member("type", "https://api.twitter.com/2/problems/unsupported-authentication")
      $0.member("status", 403)
    }
    return XProblem(status: 403, body: body)
  }()

  /// 413 comes without a body.
  static let tooLarge = XProblem(status: 413, body: [], hasEmptyType: true)

  static func missing(_ resource: String, id: String, parameter: String) -> XProblem {
    XProblem(
      status: 404,
      body: JSONWriter.object { missingMembers(&$0, resource, id: id, parameter: parameter) }
    )
  }

  /// The same inside a 200 answer.
  static func writeMissing(_ writer: inout JSONWriter, _ resource: String, id: String, parameter: String) {
    writer.object { missingMembers(&$0, resource, id: id, parameter: parameter) }
  }

  private static func missingMembers(
    _ writer: inout JSONWriter,
    _ resource: String,
    id: String,
    parameter: String
  ) {
    writer.member("value", id)
    writer.member("detail", "Could not find \(resource) with \(parameter): [\(id)].")
    writer.member("title", "Not Found Error")
    writer.member("resource_type", resource)
    writer.member("parameter", parameter)
    writer.member("resource_id", id)
    writer.member("type", "https://api.twitter.com/2/problems/resource-not-found")
  }

  static func plain(_ status: Int, title: String, detail: String) -> XProblem {
    let body = JSONWriter.object {
      $0.member("title", title)
      $0.member("detail", detail)
      $0.member("type", "about:blank")
      $0.member("status", status)
    }
    return XProblem(status: status, body: body)
  }

  var response: HTTPResponse {
    hasEmptyType
      ? HTTPResponse(status: status)
      : HTTPResponse(status: status, contentType: "application/problem+json", body: body)
  }
}
