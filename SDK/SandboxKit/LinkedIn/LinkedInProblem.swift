/// The error bodies of LinkedIn.
struct LinkedInProblem: Error, Sendable {
  let status: Int
  let message: String
  var code: String?
  var serviceCode: Int?

  static let notFound = LinkedInProblem(status: 404, message: "No virtual resource found", code: "RESOURCE_NOT_FOUND")
  static let noToken = LinkedInProblem(status: 401, message: "Empty oauth2_access_token", serviceCode: 401)

  static func badRequest(_ message: String) -> LinkedInProblem {
    LinkedInProblem(status: 400, message: message, code: "ILLEGAL_ARGUMENT")
  }

  var response: HTTPResponse {
    .json(
      status,
      JSONWriter.object {
        $0.member("status", status)
        if let serviceCode { $0.member("serviceErrorCode", serviceCode) }
        if let code { $0.member("code", code) }
        $0.member("message", message)
      }
    )
  }

  /// What the interface says to a token; `missingScope` carries the name of the resource.
  init(_ refusal: OAuthRefusal) {
    switch refusal {
    case .expiredToken:
      self.init(
        status: 401,
        message: "The token used in the request has expired",
        code: "EXPIRED_ACCESS_TOKEN",
        serviceCode: 65_602
      )
    case .endedToken:
      self.init(
        status: 401,
        message: "The token used in the request has been revoked by the user",
        code: "REVOKED_ACCESS_TOKEN",
        serviceCode: 65_601
      )
    case .missingScope(let resource):
      self.init(
        status: 403,
        message: "Not enough permissions to access: \(resource)",
        code: "ACCESS_DENIED",
        serviceCode: 100
      )
    default:
      self.init(status: 401, message: "Invalid access token", code: "INVALID_ACCESS_TOKEN", serviceCode: 65_600)
    }
  }

  init(status: Int, message: String, code: String? = nil, serviceCode: Int? = nil) {
    self.status = status
    self.message = message
    self.code = code
    self.serviceCode = serviceCode
  }

  /// What the token address says.
  static func answer(to refusal: OAuthRefusal) -> HTTPResponse {
    let (status, error, description) = words(refusal)
    return .json(
      status,
      JSONWriter.object {
        $0.member("error", error)
        $0.member("error_description", description)
      }
    )
  }

  private static func words(_ refusal: OAuthRefusal) -> (Int, String, String) {
    let mismatch =
      "Unable to retrieve access token: appid/redirect uri/code verifier does not match authorization code. "
      + "Or authorization code expired. Or external member binding exists"
    switch refusal {
    case .notAForm: return (400, "invalid_request", "The request must be application/x-www-form-urlencoded")
    case .missing(let name): return (400, "invalid_request", "A required parameter \"\(name)\" is missing")
    case .unsupportedGrant: return (400, "unsupported_grant_type", "The passed in grant type is not supported")
    case .unknownApp, .wrongSecret: return (401, "invalid_client", "Client authentication failed")
    case .unknownCode, .usedCode:
      return (401, "invalid_request", "Unable to retrieve access token: authorization code not found")
    case .otherRedirect: return (400, "invalid_redirect_uri", mismatch)
    case .expiredCode, .wrongVerifier: return (400, "invalid_request", mismatch)
    case .unknownToken, .expiredToken, .endedToken, .replayedToken, .otherKind, .tooYoung, .missingScope:
      return (
        400, "invalid_request", "The provided authorization grant or refresh token is invalid, expired or revoked"
      )
    }
  }
}

/// The version that every request under `/rest` names.
enum LinkedInVersion {
  static func check(_ request: HTTPRequest, now: Int64) throws(LinkedInProblem) {
    guard let version = request.header("linkedin-version") else {
      throw LinkedInProblem(
        status: 400,
        message: "A version must be present. Please specify a version by adding the Linkedin-Version header.",
        code: "VERSION_MISSING"
      )
    }
    guard isActive(version, now: now) else {
      throw LinkedInProblem(
        status: 426,
        message: "Requested version \(version.prefix(20)) is not active",
        code: "NONEXISTENT_VERSION"
      )
    }
    guard request.header("x-restli-protocol-version") == "2.0.0" else {
      throw .badRequest("X-RestLi-Protocol-Version must be 2.0.0")
    }
  }

  /// A version is a month and lives for a year; the one of the present month may come late, as may none at all.
  private static func isActive(_ text: String, now: Int64) -> Bool {
    guard text.utf8.count == 6, let number = Int(text), number != 202_512, (1...12).contains(number % 100) else {
      return false
    }
    let present = CivilTime(milliseconds: now)
    let age = (present.year * 12 + present.month) - (number / 100 * 12 + number % 100)
    return (1...12).contains(age)
  }
}
