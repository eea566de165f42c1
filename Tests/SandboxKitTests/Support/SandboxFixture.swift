@testable import SandboxKit

/// A running sandbox with an account `alice` of X and a hook `blog`.
final class SandboxFixture {
  let sandbox: Sandbox
  let port: UInt16
  static let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

  init(settings: SandboxSettings = SandboxSettings(), maximumConnections: Int = 100) throws {
    sandbox = Sandbox(
      configuration: SandboxConfiguration(
        maximumConnections: maximumConnections,
        settings: settings,
        accounts: [.init(username: "alice", token: "alice-token")],
        hooks: [.init(name: "blog", secret: Self.secret)]
      )
    )
    port = try sandbox.start()
  }

  deinit {
    sandbox.stop()
  }

  func client() throws -> RawClient { try RawClient(port: port) }

  func control(_ method: String, _ path: String, _ body: String? = nil) throws -> RawClient.Response {
    try client().request(method, "/_sandbox/\(path)", body: body.map { Array($0.utf8) })
  }

  func fault(_ json: String) throws {
    let response = try control("POST", "faults", json)
    guard response.status == 200 else { throw RawClient.Failure(what: response.text) }
  }

  static let postHeaders = [("authorization", "Bearer alice-token"), ("content-type", "application/json")]

  static func postBody(_ text: String) -> [UInt8] { JSONWriter.object { $0.member("text", text) } }

  func createPost(_ text: String, faultHeader: String? = nil) throws -> RawClient.Response {
    let extra = faultHeader.map { [("x-sandbox-fault", $0)] } ?? []
    return try client().request(
      "POST",
      "/2/tweets",
      headers: Self.postHeaders + extra,
      body: Self.postBody(text)
    )
  }

  /// The texts in the ledger of X.
  func ledgerTexts() throws -> [String] {
    let ledger = try control("GET", "ledger?platform=x").json()
    return ledger["x"]?["entries"]?.array?.compactMap { $0["text"]?.string } ?? []
  }

  /// A signed delivery to the hook `blog`.
  static func signed(
    id: String,
    body: [UInt8],
    at milliseconds: Int64 = WallClock.milliseconds()
  ) throws -> [(String, String)] {
    guard let secret = WebhookSecret(secret) else { throw RawClient.Failure(what: "bad secret") }
    let timestamp = String(milliseconds / 1000)
    let code = HMACSHA256.code(key: secret.key, message: Array("\(id).\(timestamp).".utf8) + body)
    return [
      ("webhook-id", id), ("webhook-timestamp", timestamp), ("webhook-signature", "v1,\(Base64.encode(code))"),
      ("content-type", "application/json"),
    ]
  }
}
