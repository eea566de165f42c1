/// The error bodies of Meta's graph interfaces.
struct GraphProblem: Error, Sendable {
  var status = 400
  let message: String
  var type = "OAuthException"
  let code: Int
  var subcode: Int?
  var isTransient: Bool?

  var response: HTTPResponse {
    var response = HTTPResponse.json(
      status,
      JSONWriter.object {
        $0.object("error") {
          $0.member("message", message)
          $0.member("type", type)
          $0.member("code", code)
          if let subcode { $0.member("error_subcode", subcode) }
          if let isTransient { $0.member("is_transient", isTransient) }
          $0.member("fbtrace_id", "ASandboxTrace")
        }
      }
    )
    if type == "OAuthException" {
      response.set("www-authenticate", "OAuth \"Facebook Platform\" \"invalid_token\" \"\(message)\"")
    }
    return response
  }

  static let noToken = GraphProblem(
    message: "An active access token must be used to query information about the current user.",
    code: 2500
  )

  static func unknownPath(_ path: String) -> GraphProblem {
    GraphProblem(message: "Unknown path components: \(path)", code: 2500)
  }

  static func noObject(_ id: String) -> GraphProblem {
    GraphProblem(
      message: "Unsupported get request. Object with ID '\(id)' does not exist, cannot be loaded due to missing "
        + "permissions, or does not support this operation.",
      type: "GraphMethodException",
      code: 100,
      subcode: 33
    )
  }

  static func invalid(_ message: String) -> GraphProblem {
    GraphProblem(message: "(#100) \(message)", code: 100)
  }

  static func missingPermission(_ name: String) -> GraphProblem {
    GraphProblem(status: 403, message: "(#200) The permission(s) \(name) are not available.", code: 200)
  }

  /// What the graph says to a token or to an app.
  ///
  /// - Parameter now: milliseconds of the server's clock.
  init(_ refusal: OAuthRefusal, now: Int64) {
    switch refusal {
    case .expiredToken(let expiry):
      self.init(
        message: "Error validating access token: Session has expired on \(Self.date(expiry)). "
          + "The current time is \(Self.date(now)).",
        code: 190,
        subcode: 463
      )
    case .endedToken(let end): self.init(end)
    case .replayedToken: self.init(.killed)
    case .unknownToken:
      self.init(message: "Invalid OAuth access token - Cannot parse access token", code: 190)
    case .missingScope(let scope): self = .missingPermission(scope)
    case .missing(let name): self.init(message: "Missing \(name) parameter.", code: 101)
    case .notAForm: self.init(message: "(#100) The parameters cannot be read.", code: 100)
    case .unknownApp:
      self.init(message: "Error validating application. Invalid application ID.", code: 101)
    case .wrongSecret: self.init(message: "Error validating client secret.", code: 1)
    case .unknownCode: self.init(message: "Invalid verification code format.", code: 100)
    case .usedCode:
      self.init(message: "This authorization code has been used.", code: 100, subcode: 36_009)
    case .expiredCode:
      self.init(message: "This authorization code has expired.", code: 100, subcode: 36_007)
    case .otherRedirect:
      self.init(
        message: "Error validating verification code. Please make sure your redirect_uri is identical to the one you "
          + "used in the OAuth dialog request",
        code: 100,
        subcode: 36_008
      )
    case .tooYoung: self.init(message: "The access token is too young to be refreshed", code: 100)
    case .unsupportedGrant, .otherKind, .wrongVerifier:
      self.init(message: "Unsupported request - the token or grant is of another kind", code: 100)
    }
  }

  private init(_ end: OAuthFamily.End) {
    let subcode = if case .removed(let number?) = end { number } else { 458 }
    let reason =
      switch subcode {
      case 458: "The user has not authorized the application."
      case 460:
        "The session has been invalidated because the user changed their password or Facebook has changed the session "
          + "for security reasons."
      default: "The session is invalid."
      }
    self.init(message: "Error validating access token: \(reason)", code: 190, subcode: subcode)
  }

  init(
    status: Int = 400,
    message: String,
    type: String = "OAuthException",
    code: Int,
    subcode: Int? = nil,
    isTransient: Bool? = nil
  ) {
    self.status = status
    self.message = message
    self.type = type
    self.code = code
    self.subcode = subcode
    self.isTransient = isTransient
  }

  private static func date(_ milliseconds: Int64) -> String { HTTPDate.format(milliseconds: milliseconds) }

  /// The shape of the two token addresses of Instagram and Threads.
  static func flat(_ refusal: OAuthRefusal) -> HTTPResponse {
    let message =
      switch refusal {
      case .notAForm: "The request must be a form"
      case .missing(let name): "Missing required field \(name)"
      case .unsupportedGrant: "Invalid grant_type"
      case .unknownApp: "Invalid platform app"
      case .wrongSecret: "Error validating client secret."
      case .otherRedirect:
        "Error validating verification code. Please make sure your redirect_uri is identical to the one you used in "
          + "the OAuth dialog request"
      case .expiredCode: "This authorization code has expired."
      default: "Matching code was not found or was already used"
      }
    return .json(
      400,
      JSONWriter.object {
        $0.member("error_type", "OAuthException")
        $0.member("code", 400)
        $0.member("error_message", message)
      }
    )
  }
}
