/// An error of the platform Microblog: `{"error":{"code","message","field"?}}`.
struct MicroblogProblem: Error, Sendable {
  let status: Int
  let code: String
  let message: String
  var field: String?
  var retryAfter: Int?

  var response: HTTPResponse {
    let body = JSONWriter.object { writer in
      writer.object("error") {
        $0.member("code", code)
        $0.member("message", message)
        if let field { $0.member("field", field) }
      }
    }
    var response = HTTPResponse.json(status, body)
    if let retryAfter { response.set("retry-after", String(retryAfter)) }
    return response
  }

  static func invalid(_ field: String, _ message: String) -> MicroblogProblem {
    MicroblogProblem(status: 422, code: "invalid", message: message, field: field)
  }

  static let unauthorized = MicroblogProblem(status: 401, code: "unauthorized", message: "the token is not valid")
  static let notFound = MicroblogProblem(status: 404, code: "not_found", message: "there is no such thing here")
}
