/// The envelope of TikTok's answers: `data`, and an `error` whose code is `ok` where all went well.
struct TikTokProblem: Error, Sendable {
  static let logID = "20260102030405010245000123"

  let status: Int
  let code: String
  let message: String

  var response: HTTPResponse {
    .json(
      status,
      JSONWriter.object {
        $0.object("data") { _ in }
        Self.write(code, message, &$0)
      }
    )
  }

  /// A good answer.
  static func none(data: (inout JSONWriter) -> Void) -> HTTPResponse {
    .json(
      JSONWriter.object {
        $0.object("data", data)
        write("ok", "", &$0)
      }
    )
  }

  private static func write(_ code: String, _ message: String, _ writer: inout JSONWriter) {
    writer.object("error") {
      $0.member("code", code)
      $0.member("message", message)
      $0.member("log_id", logID)
    }
  }
}
