/// The answers of faults: what a platform says when it is overloaded or broken.
enum FaultAnswer {
  /// - Parameter honest: the real answer, if the request took effect; its rate-limit headers are kept.
  static func response(_ fault: StatusFault, platform: Platform, honest: HTTPResponse?) -> HTTPResponse {
    var response = defaultResponse(fault.code, platform)
    if let body = fault.body {
      response = HTTPResponse(
        status: fault.code,
        contentType: fault.contentType ?? (body.first == UInt8(ascii: "{") ? "application/json" : "text/plain"),
        body: body
      )
    } else if let contentType = fault.contentType {
      response.set("content-type", contentType)
    }
    for header in honest?.headers ?? [] where header.name.hasPrefix("x-") { response.headers.append(header) }
    let now = WallClock.milliseconds()
    if let retryAfter = fault.retryAfter { set(retryAfter, platform, now, &response) }
    for header in fault.headers { response.set(header.name, header.value) }
    return response
  }

  /// An answer without members of these names; what is no JSON stays as it is.
  static func omitting(_ names: [String], from honest: HTTPResponse) -> HTTPResponse {
    // Pages and empty answers have no members to leave out.
    guard let json = try? JSONParser.parse(honest.body) else { return honest }
    var response = honest
    var writer = JSONWriter()
    writer.value(json.without(names))
    response.body = writer.bytes
    return response
  }

  private static func set(
    _ retryAfter: StatusFault.RetryAfter,
    _ platform: Platform,
    _ now: Int64,
    _ response: inout HTTPResponse
  ) {
    let seconds: Int
    switch retryAfter {
    case .seconds(let value):
      seconds = value
      response.set("retry-after", String(value))
    case .date(let value):
      seconds = value
      // A header counts whole seconds: rounded up, so that the wait is never shorter than ordered.
      response.set("retry-after", HTTPDate.format(milliseconds: now + Int64(value) * 1000 + 999))
    }
    guard platform == .x else { return }
    // This platform has no Retry-After: it tells the end of the window.
    response.headers.removeAll { $0.name == "retry-after" }
    response.set("x-rate-limit-limit", "100")
    response.set("x-rate-limit-remaining", "0")
    response.set("x-rate-limit-reset", String((now + Int64(seconds) * 1000 + 999) / 1000))
  }

  private static func defaultResponse(_ code: Int, _ platform: Platform) -> HTTPResponse {
    guard code >= 300 else { return .json(code, Array("{}".utf8)) }
    let reason = HTTPResponse.reason(code)
    switch platform {
    case .x:
      if code == 413 { return XProblem.tooLarge.response }
      return XProblem.plain(code, title: reason, detail: reason).response
    case .microblog:
      return MicroblogProblem(status: code, code: "status_\(code)", message: reason).response
    case .linkedin: return LinkedInProblem(status: code, message: reason, serviceCode: code).response
    case .facebook, .instagram, .threads:
      // The platform says "too many" with a code of its own, whatever the status.
      let isLimit = code == 429
      return GraphProblem(
        status: code,
        message: isLimit ? "(#4) Application request limit reached" : "An unexpected error has occurred.",
        code: isLimit ? 4 : 2,
        isTransient: true
      ).response
    case .tiktok:
      let name = code == 429 ? "rate_limit_exceeded" : code >= 500 ? "internal_error" : "invalid_params"
      return TikTokProblem(status: code, code: name, message: reason).response
    case .mastodon: return MastodonPlatform.error(code, reason)
    case .webhook:
      var response = HTTPResponse.text(code, reason + "\n")
      if (300...399).contains(code) { response.set("location", "/hooks/elsewhere") }
      return response
    }
  }
}

extension FaultOrder {
  /// The action in the header `x-sandbox-fault`: a name, or JSON.
  static func headerAction(_ text: String) throws(ControlError) -> FaultAction {
    guard text.hasPrefix("{") else { return try action(.string(text), at: "x-sandbox-fault") }
    return try action(try JSON.control(Array(text.utf8)), at: "x-sandbox-fault")
  }
}

extension JSON {
  /// Parses a body of the control interface.
  static func control(_ bytes: [UInt8]) throws(ControlError) -> JSON {
    do throws(JSONParser.Failure) {
      return try JSONParser.parse(bytes)
    } catch {
      throw ControlError("the body is not JSON: \(error.reason) at byte \(error.offset)")
    }
  }
}
