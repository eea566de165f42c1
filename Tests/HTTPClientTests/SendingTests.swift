import Foundation
import HTTPClient
import Synchronization
import Testing

/// What leaves the host, how often, and what must not leave at all.
@Suite struct SendingTests {
  let client: HTTPClient

  init() throws {
    client = try HTTPClient()
  }

  // MARK: Once and only once

  /// A server that answers the first request of its first connection and hangs up after reading the second.
  private func makeHangUpServer() throws -> RawServer {
    try RawServer { connection, number in
      _ = connection.readRequest()
      connection.answer("200 OK")
      guard connection.readRequest() != nil else { return }
      if number > 0 { connection.answer("200 OK") }
    }
  }

  @Test func postOnADyingReusedConnectionLeavesOnce() async throws {
    let server = try makeHangUpServer()
    _ = try await client.perform(request("GET", server.url + "/warm")).complete
    let outcome = await client.perform(request("POST", server.url + "/post", body: .bytes([1])))
    #expect(outcome.unknownReason == .replayRefused)
    #expect(server.requests.map(\.line) == ["GET /warm HTTP/1.1", "POST /post HTTP/1.1"])
  }

  @Test func fileOnADyingReusedConnectionLeavesOnce() async throws {
    let server = try makeHangUpServer()
    let file = try TemporaryFile(Array("file".utf8))
    _ = try await client.perform(request("GET", server.url + "/warm")).complete
    let outcome = await client.perform(request("POST", server.url, body: .file(FileRange(path: file.path))))
    #expect(outcome.unknownReason != nil)
    #expect(server.requests.count == 2)
  }

  @Test func theLibraryWouldSendTwice() async throws {
    // The control of the two tests above: without the rule the same server gets the POST a second time.
    let server = try makeHangUpServer()
    _ = try await client.perform(request("GET", server.url + "/warm")).complete
    let again = request("POST", server.url + "/post", body: .bytes([1]), replayPolicy: .repeatable)
    #expect(try await client.perform(again).complete.status == 200)
    #expect(server.requests.filter { $0.line.hasPrefix("POST") }.count == 2)
  }

  @Test func connectionsAreReused() async throws {
    let server = try makeEchoServer()
    for index in 0..<5 {
      let response = try await client.perform(request("POST", server.url, body: .bytes([UInt8(index)]))).complete
      #expect(response.body == [UInt8(index)])
      #expect(response.timings.reusedConnection == (index > 0))
    }
    #expect(server.connections == 1)
  }

  @Test(arguments: [("junk", true), ("408", true), ("", false)])
  func bytesOnAnIdleConnectionAreNotAnAnswer(kind: String, staysOpen: Bool) async throws {
    let answered = Gate()
    let left = Arrival()
    let server = try RawServer { connection, number in
      _ = connection.readRequest()
      connection.answer("200 OK", body: "ok")
      if number == 0 {
        // Some servers say 408 to an idle connection, some are out of step, some just close.
        answered.wait()
        if kind == "408" { connection.answer("408 Request Timeout") }
        if kind == "junk" { connection.answer("202 Accepted", body: "nobody asked") }
        if !staysOpen { connection.close() }
        left.notify()
      }
      connection.waitForEnd()
    }
    _ = try await client.perform(request("GET", server.url + "/warm")).complete
    answered.open()
    await left.wait()
    let body = RequestBody.multipart([.init(name: "a", content: .text("b"))], boundary: "edge")
    let response = try await client.perform(request("POST", server.url + "/post", body: body)).complete
    #expect(response.status == 200)
    #expect(!response.timings.reusedConnection)
    #expect(server.requests.map(\.line) == ["GET /warm HTTP/1.1", "POST /post HTTP/1.1"])
    #expect(server.requests.last?.body.count == 65)
    #expect(server.connections == 2)
  }

  @Test func redirectsAreNotFollowed() async throws {
    let server = try RawServer { connection, _ in
      while connection.readRequest() != nil { connection.answer("307 Moved", headers: ["Location: /other"]) }
    }
    let response = try await client.perform(request("POST", server.url, body: .bytes([1]))).complete
    #expect(response.status == 307)
    #expect(response.headers["location"] == "/other")
    #expect(server.requests.count == 1)
  }

  @Test func cookiesAreNotKept() async throws {
    let server = try RawServer { connection, _ in
      while connection.readRequest() != nil { connection.answer("200 OK", headers: ["Set-Cookie: a=b"]) }
    }
    for _ in 0..<2 { _ = try await client.perform(request("GET", server.url)).complete }
    #expect(server.requests.allSatisfy { $0.header("cookie") == nil })
  }

  @Test func noExpectAndExactLengthOfALargeBody() async throws {
    let server = try makeEchoServer()
    let body = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    var large = request("PUT", server.url, headers: [("Content-Type", "image/png")], body: .bytes(body))
    large.maximumResponseBytes = body.count
    #expect(try await client.perform(large).complete.body == body)
    let seen = try #require(server.requests.first)
    #expect(seen.line == "PUT / HTTP/1.1")
    #expect(seen.header("expect") == nil)
    #expect(seen.header("transfer-encoding") == nil)
    #expect(seen.header("content-length") == "3000000")
    #expect(seen.header("content-type") == "image/png")
  }

  @Test func dotsOfThePathStay() async throws {
    let server = try makeEchoServer()
    _ = try await client.perform(request("GET", server.url + "/a/../b/./c?x=%2F..")).complete
    #expect(server.requests.first?.line == "GET /a/../b/./c?x=%2F.. HTTP/1.1")
  }

  @Test func emptyPostNamesItsLength() async throws {
    let server = try makeEchoServer()
    _ = try await client.perform(request("POST", server.url, headers: [("X-Empty", "")])).complete
    #expect(server.requests.first?.header("content-length") == "0")
    #expect(server.requests.first?.head.contains("\r\nX-Empty:\r\n") == true)
  }

  @Test func theEnvironmentHasNoSay() async {
    await #expect(processExitsWith: .success) {
      for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        unsafe setenv(name, "http://127.0.0.1:1", 1)
      }
      let server = try makeEchoServer()
      let outcome = try await HTTPClient().perform(request("GET", server.url))
      #expect(try outcome.complete.status == 200)
    }
  }

  // MARK: Not at all

  @Test func refusedConnectionIsNotSent() async throws {
    let server = try makeEchoServer()
    let url = server.url
    server.stop()
    #expect(await client.perform(request("POST", url, body: .bytes([1]))).notSentReason == .connectFailed)
  }

  @Test func unknownNameIsNotSent() async {
    let outcome = await client.perform(request("GET", "http://name.invalid/"))
    #expect(outcome.notSentReason == .resolveFailed)
  }

  @Test func deniedAddressIsNotSent() async throws {
    let server = try makeEchoServer()
    let asked = Mutex<[SocketAddress]>([])
    var denied = request("POST", server.url, body: .bytes([1]))
    denied.addressPolicy = { address in
      asked.withLock { $0.append(address) }
      return false
    }
    #expect(await client.perform(denied).notSentReason == .addressDenied)
    #expect(asked.withLock { $0 } == [SocketAddress(bytes: [127, 0, 0, 1], port: server.port)])
    #expect(server.connections == 0)
  }

  @Test func deniedAddressIsNotSentOverAKeptConnection() async throws {
    let server = try makeEchoServer()
    _ = try await client.perform(request("GET", server.url)).complete
    var denied = request("POST", server.url, body: .bytes([1]))
    denied.addressPolicy = { _ in false }
    #expect(await client.perform(denied).notSentReason == .addressDenied)
    #expect(server.requests.count == 1)
  }

  @Test func refusingGuardIsNotSent() async throws {
    let server = try makeEchoServer()
    let refused = request("POST", server.url, body: .bytes([1]), beforeFirstByte: { false })
    #expect(await client.perform(refused).notSentReason == .guardRefused)
    _ = try await client.perform(request("GET", server.url + "/after")).complete
    #expect(server.requests.map(\.line) == ["GET /after HTTP/1.1"])
  }

  @Test(arguments: [
    "ftp://127.0.0.1/", "file:///etc/passwd", "//127.0.0.1/", "http://127.0.0.1/a b", "http://127.0.0.1/\r\nX: y",
    "http://127.0.0.1/#x", "http://user:word@127.0.0.1/", "http://[::1/", "http://", "",
  ])
  func brokenAddressIsNotSent(url: String) async {
    #expect(await client.perform(request("GET", url)).notSentReason == .invalidRequest)
  }

  @Test(arguments: [
    ("X-A", "b\r\nX-C: d"), ("X-A", "b\u{0}"), ("X A", "b"), ("", "b"), ("X-A:", "b"), ("Content-Length", "3"),
    ("transfer-encoding", "chunked"), ("Host", "elsewhere"), ("Expect", "100-continue"),
  ])
  func brokenHeaderIsNotSent(name: String, value: String) async throws {
    let server = try makeEchoServer()
    let outcome = await client.perform(request("GET", server.url, headers: [(name, value)]))
    #expect(outcome.notSentReason == .invalidRequest)
    #expect(server.connections == 0)
  }

  @Test func descriptionsShowNoContent() {
    let secret = request("POST", "http://h/?token=t0ken", headers: [("Authorization", "Bearer t0ken")])
    var dumped = ""
    dump(secret, to: &dumped)
    #expect(!dumped.contains("t0ken"))
    #expect(!"\(secret)".contains("t0ken"))
    #expect(!String(reflecting: secret).contains("t0ken"))
  }
}
