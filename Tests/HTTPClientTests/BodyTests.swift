import Foundation
import HTTPClient
import Testing

/// Bodies from files and in parts.
@Suite struct BodyTests {
  let client: HTTPClient
  let server: RawServer

  init() throws {
    client = try HTTPClient()
    server = try makeEchoServer()
  }

  private func echo(_ body: RequestBody) async throws -> [UInt8] {
    let echoed = request("POST", server.url, body: body, maximumResponseBytes: 64 << 20)
    return try await client.perform(echoed).complete.body
  }

  @Test func multipartBytesAreExact() async throws {
    let file = try TemporaryFile(Array("0123456789".utf8))
    let body = try await echo(
      .multipart(
        [
          .init(name: "status", content: .text("grün")),
          .init(name: "a\"b\r\n", filename: "p\"\n.png", contentType: "image/png", content: .bytes([0, 255])),
          .init(
            name: "media",
            filename: "m.bin",
            contentType: "application/octet-stream",
            content: .file(FileRange(path: file.path, range: 2..<5))
          ),
        ],
        boundary: "edge"
      )
    )
    let expected: [UInt8] =
      Array("--edge\r\nContent-Disposition: form-data; name=\"status\"\r\n\r\ngrün\r\n".utf8)
      + Array("--edge\r\nContent-Disposition: form-data; name=\"a%22b%0D%0A\"; filename=\"p%22%0A.png\"\r\n".utf8)
      + Array("Content-Type: image/png\r\n\r\n".utf8) + [0, 255]
      + Array("\r\n--edge\r\nContent-Disposition: form-data; name=\"media\"; filename=\"m.bin\"\r\n".utf8)
      + Array("Content-Type: application/octet-stream\r\n\r\n234\r\n--edge--\r\n".utf8)
    #expect(body == expected)
    let seen = try #require(server.requests.first)
    #expect(seen.header("content-type") == "multipart/form-data; boundary=edge")
    #expect(seen.header("content-length") == "\(expected.count)")
    #expect(seen.header("transfer-encoding") == nil)
  }

  @Test func boundariesDiffer() async throws {
    for _ in 0..<2 { _ = try await echo(.multipart([.init(name: "a", content: .text("b"))])) }
    let types = server.requests.compactMap { $0.header("content-type") }
    try #require(types.count == 2)
    #expect(types[0] != types[1])
    let boundary = try #require(types[0].split(separator: "=").last)
    #expect(String(decoding: server.requests[0].body, as: UTF8.self).hasPrefix("--\(boundary)\r\n"))
  }

  @Test func brokenMultipartIsNotSent() async throws {
    let part = RequestBody.Part(name: "a", content: .text("b"))
    let type = RequestBody.Part(name: "a", contentType: "text/plain\r\nX: y", content: .text("b"))
    for body in [RequestBody.multipart([]), .multipart([part], boundary: "a b"), .multipart([type])] {
      #expect(await client.perform(request("POST", server.url, body: body)).notSentReason == .invalidRequest)
    }
    let typed = request("POST", server.url, headers: [("Content-Type", "a/b")], body: .multipart([part]))
    #expect(await client.perform(typed).notSentReason == .invalidRequest)
    #expect(server.connections == 0)
  }

  @Test func filesAreStreamedByRange() async throws {
    let bytes = (0..<5_000_000).map { UInt8(truncatingIfNeeded: $0 &* 131 >> 3) }
    let file = try TemporaryFile(bytes)
    #expect(try await echo(.file(FileRange(path: file.path))) == bytes)
    let part: Range<Int64> = 1_234_567..<4_000_001
    #expect(try await echo(.file(FileRange(path: file.path, range: part))) == Array(bytes[1_234_567..<4_000_001]))
    #expect(try await echo(.file(FileRange(path: file.path, range: 7..<7))) == [])
    #expect(server.requests.map { $0.header("content-length") } == ["5000000", "2765434", "0"])
  }

  @Test func descriptorsStayOpenAndKeepTheirPosition() async throws {
    let file = try TemporaryFile(Array("0123456789".utf8))
    let handle = try #require(FileHandle(forReadingAtPath: file.path))
    try handle.seek(toOffset: 8)
    let body = RequestBody.file(FileRange(descriptor: handle.fileDescriptor, range: 1..<4))
    #expect(try await echo(body) == Array("123".utf8))
    #expect(try await echo(body) == Array("123".utf8))
    #expect(try handle.readToEnd() == Data("89".utf8))
  }

  @Test func unreadableFilesAreNotSent() async throws {
    let file = try TemporaryFile([1, 2, 3])
    let bodies: [RequestBody] = [
      .file(FileRange(path: file.path + ".missing")),
      .file(FileRange(path: "/tmp")),
      .file(FileRange(path: file.path, range: 1..<4)),
      .file(FileRange(path: file.path, range: -1..<2)),
      .file(FileRange(descriptor: -1)),
      .multipart([.init(name: "a", content: .file(FileRange(path: file.path, range: 0..<Int64.max)))]),
    ]
    for body in bodies {
      #expect(await client.perform(request("POST", server.url, body: body)).notSentReason == .bodyUnreadable)
    }
    #expect(server.connections == 0)
  }

  @Test func aFileThatShrinksIsUnknown() async throws {
    let file = try TemporaryFile([])
    let path = file.path
    #expect(unsafe truncate(path, 64 << 20) == 0)
    let server = try RawServer { connection, _ in
      // The client cannot have read all: 64 MiB do not fit into the socket's buffers.
      _ = connection.readHead()
      unsafe truncate(path, 0)
      connection.waitForEnd()
    }
    let outcome = await client.perform(request("POST", server.url, body: .file(FileRange(path: path))))
    #expect(outcome.unknownReason == .bodyUnreadable)
  }
}

/// A file that is removed with its last reference.
final class TemporaryFile: Sendable {
  let path: String

  init(_ bytes: [UInt8]) throws {
    path = FileManager.default.temporaryDirectory.appendingPathComponent("rostrum-\(UUID().uuidString)").path
    try Data(bytes).write(to: URL(fileURLWithPath: path))
  }

  deinit {
    // A file that is left in the temporary folder harms nobody.
    try? FileManager.default.removeItem(atPath: path)
  }
}
