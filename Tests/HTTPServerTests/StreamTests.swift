import FoundationEssentials
import HTTPServer
import Testing

@Suite(.timeLimit(.minutes(15))) struct StreamTests {
  @Test func sendsChunksAsTheyCome() async throws {
    let gate = Announcement<Void>()
    try await ServerFixture.run { router in
      router.get("/s") { _ in
        .stream(contentType: "text/plain") { writer in
          try await writer.write("first ")
          await gate.value
          try await writer.write("second")
        }
      }
    } _: { server in
      let client = try RawClient(port: server.port)
      try await client.send("GET /s HTTP/1.1\nHost: a\nConnection: close\n\n")
      _ = try await client.read(until: "first ")
      gate.announce()
      _ = try await client.read(until: "second")
      let head = try await RawClient.request(server.port, "HEAD", "/s")
      #expect(head.status == 200)
      #expect(head.body.isEmpty)
    }
  }

  @Test func sendsLargeStreamsWhole() async throws {
    try await ServerFixture.run { router in
      router.get("/s") { _ in
        .stream(contentType: "application/octet-stream") { writer in
          for number in 0..<200 {
            try await writer.write([UInt8](repeating: UInt8(number), count: 70_001))
          }
        }
      }
    } _: { server in
      let answer = try await RawClient.request(server.port, "GET", "/s")
      #expect(answer.body.count == 200 * 70_001)
      let isRight = (0..<200).allSatisfy { answer.body[$0 * 70_001] == UInt8($0) }
      #expect(isRight)
      #expect(await server.log.records(1).first?.bytesSent == 200 * 70_001)
    }
  }

  @Test func aStreamThatFailsDoesNotLookComplete() async throws {
    try await ServerFixture.run { router in
      router.get("/s") { _ in
        .stream(contentType: "text/plain") { writer in
          try await writer.write("part")
          throw HTTPProblem.notFound()
        }
      }
    } _: { server in
      _ = await #expect(throws: RawClient.ConnectionEnded.self) {
        try await RawClient.request(server.port, "GET", "/s")
      }
    }
  }

  @Test func sendsFiles() async throws {
    let directory = FileManager.default.temporaryDirectory.appending(path: "rostrum-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { orReport { try FileManager.default.removeItem(at: directory) } }
    let content = Data((0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 13) })
    let path = directory.appending(path: "file").path
    try content.write(to: URL(filePath: path))
    let folder = directory.path
    try await ServerFixture.run { router in
      router.get("/file") { _ in .file(path: path, contentType: "image/png") }
      router.get("/folder") { _ in .file(path: folder, contentType: "image/png") }
      router.get("/absent") { _ in .file(path: path + "x", contentType: "image/png") }
    } _: { server in
      let answer = try await RawClient.request(server.port, "GET", "/file")
      #expect(answer.headers["content-type"] == "image/png")
      #expect(answer.body == Array(content))
      let head = try await RawClient.request(server.port, "HEAD", "/file")
      #expect(head.headers["content-length"] == "3000000")
      #expect(try await RawClient.request(server.port, "GET", "/absent").status == 404)
      #expect(try await RawClient.request(server.port, "GET", "/folder").status == 404)
    }
  }

  private func orReport(_ work: () throws -> Void) {
    do { try work() } catch { Issue.record(error) }
  }
}
