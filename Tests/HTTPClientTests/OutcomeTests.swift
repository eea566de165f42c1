import Foundation
import HTTPClient
import Synchronization
import Testing

/// Each way a server can behave, and the class the client must give it.
@Suite struct OutcomeTests {
  let client: HTTPClient

  init() throws {
    client = try HTTPClient()
  }

  private func post(_ server: RawServer, timeout: Duration = .seconds(20)) async -> Outcome {
    await client.perform(request("POST", server.url + "/post", body: .bytes(Array("hello".utf8)), timeout: timeout))
  }

  @Test func completeAnswerIsAResponse() async throws {
    let server = try RawServer { connection, _ in
      _ = connection.readRequest()
      connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
      connection.answer("201 Created", headers: ["X-Rate-Limit: 7", "Set-Cookie: a", "Set-Cookie: b"], body: "done")
      connection.waitForEnd()
    }
    let response = try await post(server).complete
    #expect(response.status == 201)
    #expect(response.body == Array("done".utf8))
    #expect(!response.truncated)
    #expect(response.headers["x-rate-limit"] == "7")
    #expect(response.headers["link"] == nil)
    #expect(response.headers.values(of: "set-cookie") == ["a", "b"])
    #expect(response.sentAt.instant <= response.lastByteAt.instant)
    #expect(response.timings.total > .zero)
    let seen = try #require(server.requests.first)
    #expect(seen.line == "POST /post HTTP/1.1")
    #expect(seen.body == Array("hello".utf8))
    #expect(seen.header("user-agent") == "rostrum")
    #expect(seen.header("content-type") == nil)
  }

  @Test(arguments: ["200 OK", "302 Found", "400 Bad Request", "408 Request Timeout", "503 Service Unavailable"])
  func everyStatusIsAResponse(status: String) async throws {
    let server = try RawServer { connection, _ in
      _ = connection.readRequest()
      connection.answer(status, headers: ["Location: /elsewhere", "WWW-Authenticate: Basic"])
      connection.waitForEnd()
    }
    #expect(try await post(server).complete.status == Int(status.prefix(3)))
    #expect(server.requests.count == 1)
  }

  @Test func answersWithoutABodyAreComplete() async throws {
    let server = try RawServer { connection, _ in
      while let request = connection.readRequest() {
        // A HEAD answer names a length and sends nothing.
        connection.send("HTTP/1.1 \(request.line.hasPrefix("HEAD") ? "200" : "204") X\r\nContent-Length: 5\r\n\r\n")
      }
    }
    #expect(try await client.perform(request("HEAD", server.url)).complete.status == 200)
    #expect(try await client.perform(request("DELETE", server.url)).complete.status == 204)
    #expect(server.requests.map(\.line) == ["HEAD / HTTP/1.1", "DELETE / HTTP/1.1"])
    #expect(server.requests.last?.header("content-length") == nil)
  }

  @Test func resetBeforeReadingIsUnknown() async throws {
    let server = try RawServer { connection, _ in
      connection.waitForBytes()
      connection.reset()
    }
    #expect(await post(server).unknownReason == .connectionLost)
    #expect(server.connections == 1)
  }

  @Test func resetAfterReadingIsUnknown() async throws {
    let server = try RawServer { connection, _ in
      _ = connection.readRequest()
      connection.reset()
    }
    let outcome = await post(server)
    #expect(outcome.unknownReason == .connectionLost)
    guard case .unknown(let failure) = outcome else { return }
    #expect(failure.status == nil)
    #expect(failure.sentAt.instant <= failure.lastByteAt.instant)
    #expect(server.requests.count == 1)
  }

  @Test func halfCloseIsUnknown() async throws {
    let server = try RawServer { connection, _ in
      _ = connection.readRequest()
      connection.halfClose()
      connection.waitForEnd()
    }
    #expect(await post(server).unknownReason == .connectionLost)
    #expect(server.requests.count == 1)
  }

  @Test func truncatedBodyIsUnknown() async throws {
    let server = try RawServer { connection, _ in
      _ = connection.readRequest()
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    }
    let outcome = await post(server)
    #expect(outcome.unknownReason == .connectionLost)
    guard case .unknown(let failure) = outcome else { return }
    #expect(failure.status == 200)
  }

  @Test(arguments: ["HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", "HTTP/1.1 20", "HT"])
  func truncatedHeaderIsUnknown(bytes: String) async throws {
    let server = try RawServer { connection, _ in
      _ = connection.readRequest()
      connection.send(bytes)
    }
    #expect(await post(server).unknownReason != nil)
    #expect(server.requests.count == 1)
  }

  @Test(arguments: [
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
    "hello\r\n\r\n",
    "HTTP/9.9 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
  ])
  func brokenAnswerIsUnknown(bytes: String) async throws {
    let server = try RawServer { connection, _ in
      _ = connection.readRequest()
      connection.send(bytes)
    }
    #expect(await post(server).unknownReason != nil)
    #expect(server.requests.count == 1)
  }

  @Test func interimAnswerAloneIsUnknown() async throws {
    let server = try RawServer { connection, _ in
      _ = connection.readRequest()
      connection.send("HTTP/1.1 103 Early Hints\r\n\r\n")
    }
    #expect(await post(server).unknownReason == .connectionLost)
  }

  @Test func slowAnswerIsUnknown() async throws {
    let server = try RawServer { connection, _ in
      _ = connection.readRequest()
      connection.waitForEnd()
    }
    // Long enough to connect and send on a machine that has other things to do.
    #expect(await post(server, timeout: .seconds(3)).unknownReason == .timeout)
    #expect(server.requests.count == 1)
  }

  @Test func largeHeaderIsUnknown() async throws {
    let server = try RawServer { connection, _ in
      _ = connection.readRequest()
      connection.send("HTTP/1.1 200 OK\r\n")
      for index in 0..<40 { connection.send("X-\(index): \(String(repeating: "a", count: 1_000))\r\n") }
      connection.send("Content-Length: 0\r\n\r\n")
      connection.waitForEnd()
    }
    #expect(await post(server).unknownReason == .malformedResponse)
  }

  @Test func trailersDoNotChangeTheAnswer() async throws {
    let server = try RawServer { connection, _ in
      _ = connection.readRequest()
      connection.send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nHTTP/1.1 500 X: y\r\nA: b\r\n\r\n"
      )
      connection.waitForEnd()
    }
    let response = try await post(server).complete
    #expect(response.status == 200)
    #expect(response.headers["a"] == nil)
  }

  @Test func longBodyIsCutAndMarked() async throws {
    let body = String(repeating: "x", count: 100_000)
    let server = try RawServer { connection, _ in
      while connection.readRequest() != nil { connection.answer("200 OK", body: body) }
    }
    let cut = try await client.perform(request("GET", server.url, maximumResponseBytes: 1_000)).complete
    #expect(cut.truncated)
    #expect(cut.body == [UInt8](repeating: UInt8(ascii: "x"), count: 1_000))
    let exact = try await client.perform(request("GET", server.url, maximumResponseBytes: 100_000)).complete
    #expect(!exact.truncated)
    #expect(exact.body.count == 100_000)
    #expect(exact.timings.reusedConnection)
  }

  @Test func endlessBodyIsUnknown() async throws {
    var configuration = HTTPClient.Configuration()
    configuration.maximumDiscardedBytes = 50_000
    let client = try HTTPClient(configuration: configuration)
    let server = try RawServer { connection, _ in
      _ = connection.readRequest()
      connection.answer("200 OK", body: String(repeating: "x", count: 10_000_000))
      connection.waitForEnd()
    }
    let outcome = await client.perform(request("GET", server.url, maximumResponseBytes: 1_000))
    #expect(outcome.unknownReason == .responseTooLarge)
  }

  @Test func compressedBodyIsUnpackedUpToTheCap() async throws {
    let packed = try output(of: "/bin/sh", "-c", "seq 1 400000 | gzip -c")
    let server = try Self.packing(packed)
    let whole = try await client.perform(request("GET", server.url, maximumResponseBytes: 30_000_000)).complete
    #expect(whole.body.count == 2_688_895)
    let cut = try await client.perform(request("GET", server.url, maximumResponseBytes: 1_000)).complete
    #expect(cut.truncated)
    #expect(cut.body.count == 1_000)
  }

  @Test func aBodyThatUnpacksBeyondAllProportionIsGivenUp() async throws {
    let packed = try output(of: "/bin/sh", "-c", "head -c 300000000 /dev/zero | gzip -c")
    let server = try Self.packing(packed)
    let outcome = await client.perform(request("GET", server.url, maximumResponseBytes: 1 << 30))
    #expect(outcome.unknownReason == .responseTooLarge)
    // What is small anyway may be as regular as it likes.
    let small = try Self.packing(try output(of: "/bin/sh", "-c", "head -c 200000 /dev/zero | gzip -c"))
    let answer = try await client.perform(request("GET", small.url)).complete
    #expect(answer.body.count == 200_000)
  }

  private static func packing(_ packed: [UInt8]) throws -> RawServer {
    try RawServer { connection, _ in
      while connection.readRequest() != nil {
        connection.send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: \(packed.count)\r\n\r\n")
        connection.send(packed)
      }
    }
  }

  @Test func aHeaderOfMoreThanSixteenKibibytesIsNotSent() async throws {
    let server = try makeEchoServer()
    let long = request("GET", server.url, headers: [("x-a", String(repeating: "a", count: 16_384))])
    #expect(await client.perform(long).notSentReason == .invalidRequest)
    let fits = request("GET", server.url, headers: [("x-a", String(repeating: "a", count: 16_000))])
    #expect(try await client.perform(fits).complete.status == 200)
  }

  @Test func answerBeforeTheBodyIsThroughCounts() async throws {
    let server = try RawServer { connection, _ in
      _ = connection.readHead()
      connection.answer("413 Too Large", headers: ["Connection: close"], body: "no")
      connection.halfClose()
      connection.waitForEnd()
    }
    let body = RequestBody.bytes([UInt8](repeating: 1, count: 4_000_000))
    #expect(try await client.perform(request("POST", server.url, body: body)).complete.status == 413)
  }
}

/// Runs a program and returns what it writes.
func output(of program: String, _ arguments: String...) throws -> [UInt8] {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: program)
  process.arguments = arguments
  let pipe = Pipe()
  process.standardOutput = pipe
  process.standardError = FileHandle.nullDevice
  try process.run()
  let data = pipe.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  return Array(data)
}
