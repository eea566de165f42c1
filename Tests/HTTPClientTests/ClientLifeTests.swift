import HTTPClient
import Synchronization
import Testing

/// Many requests at once, cancelled tasks and the end of a client.
@Suite struct ClientLifeTests {
  @Test func manyRequestsAtOnceGetTheirOwnAnswers() async throws {
    let client = try HTTPClient()
    let server = try makeEchoServer()
    let wrong = await withTaskGroup(of: Bool.self) { group in
      for index in 0..<300 {
        group.addTask {
          let body = Array("request \(index)".utf8)
          let outcome = await client.perform(request("POST", server.url, body: .bytes(body)))
          return (try? outcome.complete.body) != body  // a failure counts as wrong
        }
      }
      return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
    }
    #expect(wrong == 0)
    #expect(server.requests.count == 300)
  }

  @Test func noMoreRequestsAtOnceThanAllowed() async throws {
    var configuration = HTTPClient.Configuration()
    configuration.maximumConcurrentRequests = 3
    let client = try HTTPClient(configuration: configuration)
    let counts = Mutex((now: 0, most: 0))
    let server = try RawServer { connection, _ in
      while connection.readRequest() != nil {
        counts.withLock {
          $0.now += 1; $0.most = max($0.most, $0.now)
        }
        counts.withLock { $0.now -= 1 }
        connection.answer("200 OK")
      }
    }
    let answered = await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<60 {
        group.addTask { (try? await client.perform(request("GET", server.url)).complete) != nil }
      }
      return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
    }
    #expect(answered == 60)
    #expect(server.connections <= 3)
    #expect(counts.withLock { $0.most } <= 3)
  }

  @Test func cancellingTheTaskDoesNotCancelTheRequest() async throws {
    let client = try HTTPClient()
    let arrived = Arrival()
    let gate = Gate()
    let server = try RawServer { connection, _ in
      _ = connection.readRequest()
      arrived.notify()
      gate.wait()
      connection.answer("200 OK", body: "late")
      connection.waitForEnd()
    }
    let task = Task { await client.perform(request("POST", server.url, body: .bytes([1]))) }
    await arrived.wait()
    task.cancel()
    gate.open()
    #expect(try await task.value.complete.body == Array("late".utf8))
  }

  @Test func closingWaitsForOpenRequests() async throws {
    let client = try HTTPClient()
    let arrived = Arrival()
    let gate = Gate()
    let server = try RawServer { connection, _ in
      _ = connection.readRequest()
      arrived.notify()
      gate.wait()
      connection.answer("200 OK")
      connection.waitForEnd()
    }
    let task = Task { await client.perform(request("POST", server.url, body: .bytes([1]))) }
    await arrived.wait()
    async let closed: Void = client.close(within: .seconds(20))
    // Refused from the moment the close has begun, which this loop waits for.
    while true {
      let probe = await client.perform(request("GET", server.url, beforeFirstByte: { false }))
      if probe.notSentReason == .shuttingDown { break }
    }
    gate.open()
    #expect(try await task.value.complete.status == 200)
    await closed
  }

  @Test func closingGivesUpAtItsDeadline() async throws {
    let client = try HTTPClient()
    let arrived = Arrival()
    let server = try RawServer { connection, _ in
      _ = connection.readRequest()
      arrived.notify()
      connection.waitForEnd()
    }
    let task = Task { await client.perform(request("POST", server.url, body: .bytes([1]))) }
    await arrived.wait()
    await client.close(within: .milliseconds(50))
    #expect(await task.value.unknownReason == .shuttingDown)
    #expect(await client.perform(request("GET", server.url)).notSentReason == .shuttingDown)
    await client.close(within: .seconds(1))
  }
}
