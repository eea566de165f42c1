import HTTPServer

/// What a browser shows that came back from a platform and can not be sent on: one page for all that may be wrong.
enum SignInPage {
  /// - Parameters:
  ///   - text: one of the host's own sentences, never anything that came with a request.
  ///   - detail: the same.
  static func response(_ text: String, detail: String = "") -> HTTPResponse {
    let page = """
      <!doctype html>
      <html lang="en">
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width">
      <title>Nothing was connected</title>
      <h1>Nothing was connected</h1>
      <p>\(escaped(text))</p>
      <p>\(escaped(detail))</p>
      </html>
      """
    var response = HTTPResponse.bytes(Array(page.utf8), contentType: "text/html; charset=utf-8", status: 400)
    seal(&response)
    return response
  }

  /// The address of the page holds a code: nothing may keep it or hand it on.
  static func seal(_ response: inout HTTPResponse) {
    response.headers.set("cache-control", "no-store")
    response.headers.set("referrer-policy", "no-referrer")
    response.headers.set("content-security-policy", "default-src 'none'; frame-ancestors 'none'")
    response.headers.set("x-content-type-options", "nosniff")
  }

  private static func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
  }
}
