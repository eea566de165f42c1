package import PluginKit

/// Turns the platform's refusals into kinds of errors.
package enum AnswerErrors {
  /// What a request was for; the same status means different things.
  package enum Purpose {
    /// Reads an account or a timeline.
    case read
    /// Uploads or describes a file.
    case media
    /// Creates or deletes a post.
    case commit
  }

  /// The parts of an error answer that matter.
  private struct Problem {
    let detail: String
    let type: String
    let parameters: [String]

    init(_ answer: HTTPAnswer) {
      let json = answer.json
      // Answers of any shape must give an error, so what cannot be read counts as not there.
      func text(_ pointer: String) -> String? { try? json?.pointer(pointer)?.string() }
      detail = text("/errors/0/message") ?? text("/detail") ?? text("/errors/0/detail") ?? text("/title") ?? ""
      type = text("/type")?.split(separator: "/").last.map(String.init) ?? ""
      parameters = (try? json?.pointer("/errors/0/parameters")?.object())?.keys ?? []
    }
  }

  /// Returns the error for an answer that is not a success.
  package static func error(_ answer: HTTPAnswer, _ purpose: Purpose) -> PlatformError {
    let problem = Problem(answer)
    var error = kind(answer, problem, purpose)
    error.upstream = UpstreamDetail(
      status: answer.status,
      code: problem.type.isEmpty || problem.type == "about:blank" ? nil : problem.type
    )
    return error
  }

  /// Whether the platform says that it does not know the file that a request named.
  package static func saysUnknownMedia(_ answer: HTTPAnswer) -> Bool {
    answer.status == 404 || (answer.status == 400 && Problem(answer).detail.contains("media ID"))
  }

  private static func kind(_ answer: HTTPAnswer, _ problem: Problem, _ purpose: Purpose) -> PlatformError {
    let said = problem.detail.isEmpty ? "X answered \(answer.status)." : "X answered: \(problem.detail)"
    switch answer.status {
    case 400: return invalid(problem, purpose, said)
    case 401: return PlatformError(.authExpired, "X does not accept the access token.")
    case 402:
      return PlatformError(
        .quotaExceeded,
        "The X account has no credits left; top them up at X.",
        retryAfter: .seconds(3_600)
      )
    case 403: return forbidden(problem, purpose, said)
    case 404: return PlatformError(.notFound, said)
    case 408, 409, 425:
      return purpose == .commit ? unknown(answer) : PlatformError(.platformDown, said)
    case 413: return PlatformError(.mediaRejected, "The file is too large for X.", field: "media")
    case 429:
      let kind: ErrorKind = problem.type == "usage-capped" ? .quotaExceeded : .rateLimited
      let delay: Duration = kind == .quotaExceeded ? .seconds(86_400) : RateLimit.delay(after: answer)
      return PlatformError(kind, said, retryAfter: delay)
    case 500...599:
      return purpose == .commit ? unknown(answer) : PlatformError(.platformDown, said)
    case 200..<300:
      return purpose == .commit ? unknown(answer) : PlatformError(.platformChanged, "X's answer cannot be read.")
    default:
      return purpose == .commit ? unknown(answer) : PlatformError(.platformChanged, said)
    }
  }

  private static func unknown(_ answer: HTTPAnswer) -> PlatformError {
    PlatformError(.outcomeUnknown, "X answered \(answer.status), which does not say whether it acted.")
  }

  private static func invalid(_ problem: Problem, _ purpose: Purpose, _ said: String) -> PlatformError {
    if purpose == .read { return PlatformError(.platformChanged, said) }
    let aboutMedia = problem.parameters.contains { $0.hasPrefix("media") } || problem.detail.contains("media IDs")
    if purpose == .media { return PlatformError(.mediaRejected, said, field: "media") }
    if aboutMedia {
      // It was uploaded, so it is too old by now, or X found out later that it does not like it.
      return PlatformError(
        .mediaRejected,
        said,
        field: "media",
        userMessage: "X does not take the file that was uploaded. A retry uploads it anew."
      )
    }
    return PlatformError(.contentRejected, said, field: "text")
  }

  private static func forbidden(_ problem: Problem, _ purpose: Purpose, _ said: String) -> PlatformError {
    let detail = problem.detail.lowercased()
    if detail.contains("duplicate content") {
      return PlatformError(
        .duplicate,
        said,
        field: "text",
        userMessage: "The account has this text already. Change the text and retry."
      )
    }
    if detail.contains("not allowed to post a video") { return PlatformError(.mediaRejected, said, field: "media") }
    if detail.hasPrefix("reply to this conversation") || detail.hasPrefix("quoting this post") {
      return PlatformError(.policyBlocked, said)
    }
    if problem.type == "unsupported-authentication" {
      return PlatformError(
        .scopeMissing,
        said,
        userMessage: "The token belongs to an app. Enter one that was made for the account."
      )
    }
    if detail.contains("scope") { return PlatformError(.scopeMissing, said) }
    // One sentence of the platform for several causes.
    return PlatformError(
      .notPermitted,
      said,
      userMessage:
        "X does not permit this. Either the account is suspended or protected, or the token lacks one of the "
        + "rights tweet.read, tweet.write, users.read and media.write."
    )
  }
}
