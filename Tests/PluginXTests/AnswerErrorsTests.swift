import PluginKit
import Testing
import plugin_x

@Suite struct AnswerErrorsTests {
  /// One row of the table: status, body, what for, kind and retry class.
  struct Row: Sendable, CustomTestStringConvertible {
    let status: Int
    let body: String
    let purpose: AnswerErrors.Purpose
    let kind: ErrorKind
    let retry: RetryClass

    init(_ status: Int, _ body: String, _ purpose: AnswerErrors.Purpose, _ kind: ErrorKind, _ retry: RetryClass) {
      self.status = status
      self.body = body
      self.purpose = purpose
      self.kind = kind
      self.retry = retry
    }

    var testDescription: String { "\(status) \(purpose) \(body.prefix(60))" }
  }

  private static func forbidden(_ detail: String) -> String {
    #"{"title":"Forbidden","type":"about:blank","status":403,"detail":""# + detail + "\"}"
  }

  private static let invalidMedia = """
    {"errors":[{"parameters":{"media.media_ids":["1"]},"message":"Your media IDs are invalid."}],\
    "title":"Invalid Request","detail":"One or more parameters to your request was invalid.",\
    "type":"https://api.twitter.com/2/problems/invalid-request"}
    """

  static let rows = [
    Row(400, invalidMedia, .commit, .mediaRejected, .userFix),
    Row(400, #"{"title":"Invalid Request","detail":"x"}"#, .commit, .contentRejected, .userFix),
    Row(400, "{}", .media, .mediaRejected, .userFix), Row(400, "{}", .read, .platformChanged, .never),
    Row(401, #"{"title":"Unauthorized","type":"about:blank","status":401}"#, .commit, .authExpired, .reauth),
    Row(
      402,
      #"{"title":"CreditsDepleted","type":"https://api.twitter.com/2/problems/credits"}"#,
      .commit,
      .quotaExceeded,
      .after
    ),
    Row(403, forbidden("You are not allowed to create a Tweet with duplicate content."), .commit, .duplicate, .userFix),
    Row(
      403,
      forbidden("Reply to this conversation is not allowed because you have not been mentioned"),
      .commit,
      .policyBlocked,
      .userFix
    ),
    Row(403, forbidden("Quoting this post is not allowed because"), .commit, .policyBlocked, .userFix),
    Row(
      403,
      forbidden("This user is not allowed to post a video longer than 20 minutes."),
      .commit,
      .mediaRejected,
      .userFix
    ),
    Row(403, forbidden("You are not permitted to perform this action."), .commit, .notPermitted, .never),
    Row(
      403,
      #"{"type":"https://api.x.com/2/problems/client-forbidden","reason":"client-not-enrolled"}"#,
      .read,
      .notPermitted,
      .never
    ),
    Row(403, #"{"type":"https://api.x.com/2/problems/unsupported-authentication"}"#, .commit, .scopeMissing, .reauth),
    Row(404, "{}", .read, .notFound, .never), Row(413, "", .media, .mediaRejected, .userFix),
    Row(429, #"{"title":"Too Many Requests","type":"about:blank","status":429}"#, .commit, .rateLimited, .after),
    Row(429, #"{"errors":[{"code":88,"message":"Rate limit exceeded"}]}"#, .media, .rateLimited, .after),
    Row(429, #"{"type":"https://api.x.com/2/problems/usage-capped"}"#, .commit, .quotaExceeded, .after),
    Row(500, "", .commit, .outcomeUnknown, .reconcile), Row(503, "<html>", .commit, .outcomeUnknown, .reconcile),
    Row(503, "", .media, .platformDown, .after), Row(502, "", .read, .platformDown, .after),
    Row(408, "", .commit, .outcomeUnknown, .reconcile), Row(409, "", .read, .platformDown, .after),
    Row(200, "<html>", .read, .platformChanged, .never), Row(201, "{}", .commit, .outcomeUnknown, .reconcile),
    Row(302, "", .commit, .outcomeUnknown, .reconcile), Row(302, "", .read, .platformChanged, .never),
  ]

  @Test(arguments: rows)
  func mapsEachRefusal(_ row: Row) {
    let json = try? RawJSON(text: row.body)
    let answer = HTTPAnswer(status: row.status, json: json, text: json == nil ? row.body : nil)
    let error = AnswerErrors.error(answer, row.purpose)
    #expect(error.kind == row.kind)
    #expect(error.retry == row.retry)
    #expect(error.upstream?.status == row.status)
  }

  @Test func saysWhatToDo() throws {
    func advice(_ status: Int, _ body: String, _ purpose: AnswerErrors.Purpose) throws -> String? {
      AnswerErrors.error(HTTPAnswer(status: status, json: try RawJSON(text: body)), purpose).userMessage
    }
    let duplicate = Self.forbidden("You are not allowed to create a Tweet with duplicate content.")
    let app = #"{"type":"https://api.x.com/2/problems/unsupported-authentication"}"#
    let rights = Self.forbidden("You are not permitted to perform this action.")
    let advices = [
      (try advice(403, duplicate, .commit), "Change the text"), (try advice(403, app, .read), "belongs to an app"),
      (try advice(403, rights, .commit), "tweet.write"), (try advice(400, Self.invalidMedia, .commit), "anew"),
    ]
    for (advice, words) in advices { #expect(advice?.contains(words) == true) }
    // What was refused at its upload is not helped by another upload.
    let upload = try advice(400, Self.invalidMedia, .media)
    #expect(upload == nil)
  }

  @Test func waitsForTheLatestExhaustedWindow() {
    var answer = HTTPAnswer(status: 429)
    answer.headers = [
      "date": "Fri, 02 Jan 2026 03:04:05 GMT", "x-rate-limit-remaining": "0", "x-rate-limit-reset": "1767323105",
      "x-user-limit-24hour-remaining": "0", "x-user-limit-24hour-reset": "1767326645",
      "x-app-limit-24hour-remaining": "7", "x-app-limit-24hour-reset": "1767400000",
    ]
    #expect(RateLimit.delay(after: answer) == .seconds(3_600))
    #expect(AnswerErrors.error(answer, .commit).retryAfterMs == 3_600_000)
    answer.headers["x-user-limit-24hour-remaining"] = "3"
    #expect(RateLimit.delay(after: answer) == .seconds(60))
  }

  @Test(
    arguments: [
      ([:], 900), (["x-rate-limit-reset": "garbage"], 900),
      (["x-rate-limit-remaining": "0", "x-rate-limit-reset": "1"], 1),
      (["x-rate-limit-remaining": "0", "x-rate-limit-reset": "9223372036854775807"], 90_000),
    ] as [([String: String], Int)]
  )
  func boundsTheWait(_ headers: [String: String], _ seconds: Int) {
    #expect(RateLimit.delay(after: HTTPAnswer(status: 429, headers: headers)) == .seconds(seconds))
  }
}
