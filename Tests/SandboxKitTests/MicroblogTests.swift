import Testing

@testable import SandboxKit

/// The sandbox's own platform is as strict as its contract.
@Suite struct MicroblogTests {
  private static let png: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0]

  private final class Blog {
    let sandbox: Sandbox
    let port: UInt16

    init(settings: SandboxSettings = SandboxSettings()) throws {
      sandbox = Sandbox(
        configuration: SandboxConfiguration(
          settings: settings,
          microblogAccounts: [.init(username: "alice", token: "a"), .init(username: "bob", token: "b")]
        )
      )
      port = try sandbox.start()
    }

    deinit { sandbox.stop() }

    func ask(
      _ method: String,
      _ path: String,
      token: String? = "a",
      type: String = "application/json",
      _ body: [UInt8]? = nil,
      fault: String? = nil
    ) throws -> RawClient.Response {
      var headers = [("content-type", type)]
      if let token { headers.append(("authorization", "Bearer \(token)")) }
      if let fault { headers.append(("x-sandbox-fault", fault)) }
      return try RawClient(port: port).request(method, "/microblog/v1/\(path)", headers: headers, body: body)
    }

    func note(_ json: String, token: String = "a") throws -> RawClient.Response {
      try ask("POST", "notes", token: token, Array(json.utf8))
    }

    func picture(token: String = "a") throws -> String {
      let answer = try ask("POST", "pictures", token: token, type: "image/png", MicroblogTests.png)
      #expect(answer.status == 201)
      return try answer.json()["id"]?.string ?? ""
    }

    func count() throws -> Int? {
      let client = try RawClient(port: port)
      return try client.request("GET", "/_sandbox/ledger?platform=microblog").json()["microblog"]?["count"]?.integer
    }
  }

  @Test func publishesListsAndDeletes() throws {
    let blog = try Blog()
    let picture = try blog.picture()
    let made = try blog.note(#"{"text":"Hello","pictures":[{"id":"\#(picture)","alt":"a dot"}]}"#)
    #expect(made.status == 201)
    let id = try #require(try made.json()["id"]?.string)
    let list = try blog.ask("GET", "notes?limit=1&since=2026-01-01T00:00:00Z").json()
    #expect(list["notes"]?.array?.first?["text"]?.string == "Hello")
    #expect(list["notes"]?.array?.first?["pictures"]?.integer == 1)
    #expect(list["more"]?.bool == false)
    #expect(try blog.ask("GET", "notes", token: "b").json()["notes"]?.array?.isEmpty == true)
    #expect(try blog.ask("DELETE", "notes/\(id)", token: "b").status == 404)
    #expect(try blog.ask("DELETE", "notes/\(id)").status == 204)
    #expect(try blog.ask("DELETE", "notes/\(id)").status == 404)
    #expect(try blog.count() == 1)
    let page = try RawClient(port: blog.port).request("GET", "/notes/alice")
    #expect(page.text.contains("This note was deleted."))
  }

  @Test func refusesWhatItsContractDoesNotHave() throws {
    let blog = try Blog()
    #expect(try blog.ask("GET", "me", token: nil).status == 401)
    #expect(try blog.ask("GET", "me", token: "c").status == 401)
    #expect(try blog.ask("GET", "nothing").status == 404)
    for body in [
      #"{"text":" "}"#, #"{"text":7}"#, #"{"text":"a","mood":"b"}"#, #"{"pictures":[]}"#,
      #"{"text":"\#(String(repeating: "é", count: 301))"}"#, #"{"text":"a","pictures":[{"id":"pic-99"}]}"#,
    ] {
      let answer = try blog.note(body)
      #expect(answer.status == 422, "\(body)")
      #expect(try answer.json()["error"]?["field"]?.string?.isEmpty == false, "\(body)")
    }
    #expect(try blog.note("[").status == 400)
    #expect(try blog.note(#"{"text":"\#(String(repeating: "é", count: 300))"}"#).status == 201)
    #expect(try blog.ask("POST", "notes", type: "text/plain", Array("{}".utf8)).status == 415)
    #expect(try blog.ask("POST", "pictures", type: "image/jpeg", Self.png).status == 415)
    #expect(try blog.ask("POST", "pictures", type: "image/png", Array("hello".utf8)).status == 415)
    let large = Self.png + [UInt8](repeating: 0, count: 2 * 1_048_576)
    #expect(try blog.ask("POST", "pictures", type: "image/png", large).status == 413)
    for query in ["limit=0", "limit=201", "since=yesterday", "page=2"] {
      #expect(try blog.ask("GET", "notes?\(query)").status == 422, "\(query)")
    }
  }

  @Test func aPictureBelongsToOneNoteOfItsOwner() throws {
    let blog = try Blog()
    let picture = try blog.picture()
    let body = #"{"text":"a","pictures":[{"id":"\#(picture)"}]}"#
    #expect(try blog.note(body, token: "b").status == 422)
    #expect(try blog.note(body).status == 201)
    #expect(try blog.note(body).status == 409)
  }

  @Test func slowsDown() throws {
    let blog = try Blog()
    for number in 1...60 { #expect(try blog.note(#"{"text":"\#(number)"}"#).status == 201) }
    let answer = try blog.note(#"{"text":"one more"}"#)
    #expect(answer.status == 429)
    #expect(answer.headers["retry-after"] == "60")
    #expect(try blog.note(#"{"text":"another account"}"#, token: "b").status == 201)
  }

  @Test func goesWrongOnDemand() throws {
    let blog = try Blog()
    let client = try RawClient(port: blog.port)
    let body = Array(#"{"text":"lost"}"#.utf8)
    let headers = [
      ("content-type", "application/json"), ("authorization", "Bearer a"), ("x-sandbox-fault", "resetAfterCommit"),
    ]
    try client.sendRequest("POST", "/microblog/v1/notes", headers: headers, body: body)
    #expect(client.waitForEnd() == .reset)
    #expect(try blog.count() == 1)
  }
}
