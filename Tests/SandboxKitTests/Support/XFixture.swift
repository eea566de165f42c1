@testable import SandboxKit

/// The simulated platform X without sockets and with a clock that the test sets.
final class XFixture {
  let platform = XPlatform()
  var settings = SandboxSettings()
  /// 2026-01-02T03:04:05Z.
  var now: Int64 = 1_767_323_045_000
  var listLag = 0

  init() throws {
    try account("alice")
    try account("bob")
  }

  /// The token of an account is its name with `-token`.
  @discardableResult
  func account(_ name: String, change: (inout XAccountOrder) -> Void = { _ in }) throws -> XAccount {
    var order = XAccountOrder(username: name)
    order.tokens = [.init(text: "\(name)-token")]
    change(&order)
    let now = now
    let result = platform.state.withLock { [order] state in Result { try state.setAccount(order, now: now) } }
    return try result.get()
  }

  struct Answer {
    let status: Int
    let headers: [HTTPRequest.Header]
    let body: JSON
    let isEmpty: Bool

    func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
    var detail: String? { body["detail"]?.string }
    var message: String? { body["errors"]?.array?.first?["message"]?.string }
    var id: String { body["data"]?["id"]?.string ?? "" }
  }

  func send(_ request: HTTPRequest) throws -> Answer {
    let call = XCall(now: now, settings: settings, listLag: listLag)
    let response = platform.answer(request, call: call).response
    return Answer(
      status: response.status,
      headers: response.headers,
      body: response.body.isEmpty ? .null : try JSONParser.parse(response.body),
      isEmpty: response.body.isEmpty
    )
  }

  func get(_ path: String, query: String = "", token: String? = "alice-token") throws -> Answer {
    try send(HTTPRequest(method: "GET", path: path, rawQuery: query, headers: Self.authorization(token)))
  }

  func delete(_ path: String, token: String? = "alice-token") throws -> Answer {
    try send(HTTPRequest(method: "DELETE", path: path, headers: Self.authorization(token)))
  }

  func post(_ path: String, _ json: String, token: String? = "alice-token") throws -> Answer {
    let headers = Self.authorization(token) + [.init(name: "content-type", value: "application/json")]
    return try send(HTTPRequest(method: "POST", path: path, headers: headers, body: Array(json.utf8)))
  }

  func create(_ json: String, token: String? = "alice-token") throws -> Answer {
    try post("/2/tweets", json, token: token)
  }

  func create(text: String, token: String? = "alice-token") throws -> Answer {
    try create(String(decoding: JSONWriter.object { $0.member("text", text) }, as: UTF8.self), token: token)
  }

  func multipart(_ path: String, _ fields: [(String, [UInt8])], token: String = "alice-token") throws -> Answer {
    var body: [UInt8] = []
    for (name, bytes) in fields {
      body += Array("--b0und\r\ncontent-disposition: form-data; name=\"\(name)\"\r\n\r\n".utf8) + bytes
      body += Array("\r\n".utf8)
    }
    body += Array("--b0und--\r\n".utf8)
    let type = HTTPRequest.Header(name: "content-type", value: "multipart/form-data; boundary=b0und")
    let request = HTTPRequest(method: "POST", path: path, headers: Self.authorization(token) + [type], body: body)
    return try send(request)
  }

  /// Uploads an image and returns its id.
  func upload(_ bytes: [UInt8] = XFixture.png, token: String = "alice-token") throws -> String {
    let answer = try multipart(
      "/2/media/upload",
      [("media", bytes), ("media_category", Array("tweet_image".utf8))],
      token: token
    )
    return answer.id
  }

  var userID: String { platform.state.withLock { String($0.accounts[0].id) } }

  static let png: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 1, 2, 3]
  static let gif: [UInt8] = Array("GIF89a".utf8) + [1, 2, 3]

  /// An MP4 file that is nothing but its two headers.
  static func mp4(seconds: UInt32) -> [UInt8] {
    var bytes: [UInt8] = [0, 0, 0, 16] + Array("ftypisom".utf8) + [0, 0, 0, 0]
    bytes += [0, 0, 0, 108] + Array("mvhd".utf8) + [UInt8](repeating: 0, count: 12)
    for word in [1000, seconds * 1000] {
      for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: word >> UInt32(shift))) }
    }
    return bytes + [UInt8](repeating: 0, count: 80)
  }

  private static func authorization(_ token: String?) -> [HTTPRequest.Header] {
    token.map { [.init(name: "authorization", value: "Bearer \($0)")] } ?? []
  }
}
