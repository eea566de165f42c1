import FuzzSupport
import HTTPServer
import Identity
import JSONDocument
import TestSupport
import Testing

@testable import AdminAPI

/// Whatever a body or a query says, it is taken as the description allows or refused with the name of the field.
@Suite(.timeLimit(.minutes(60))) struct BodyFuzzTests {
  /// An operation that takes a body, and a body that it takes.
  private struct Sample: Sendable {
    let endpoint: Endpoint
    let body: JSONValue
    let bytes: [UInt8]
  }

  private static let samples: [Sample] = AdminAPI.endpoints.compactMap { endpoint in
    guard let schema = endpoint.body, !endpoint.isUpload else { return nil }
    let body = schema.sample
    return Sample(endpoint: endpoint, body: body, bytes: Array(body.text().utf8))
  }

  private static func request(_ endpoint: Endpoint, _ body: [UInt8]) throws -> HTTPRequest {
    HTTPRequest(id: "1", method: endpoint.method, target: try RequestTarget("/"), body: RequestBody(body))
  }

  @Test func theSamplesAreTaken() throws {
    #expect(Self.samples.count >= 10)
    for sample in Self.samples {
      let taken = try AdminAPI.parse(try Self.request(sample.endpoint, sample.bytes), sample.endpoint)
      try AdminAPI.check(taken, sample.endpoint)
      #expect(taken == sample.body, "\(sample.endpoint.path)")
    }
  }

  @Test func anyBodyIsTakenOrRefusedByName() throws {
    var random = FuzzRun.random("bodies")
    let mutator = JSONMutator(samples: Self.samples.map(\.body))
    var (taken, refused, unreadable) = (0, 0, 0)
    for _ in 0..<FuzzRun.cases(10_000) {
      let sample = random.one(of: Self.samples)
      let isText = random.index(4) == 0
      let bytes =
        isText
        ? ByteMutator.json.mutate(sample.bytes, with: random.one(of: Self.samples).bytes, &random)
        : Array(mutator.mutate(sample.body, &random).text().utf8)
      do {
        try AdminAPI.check(
          try AdminAPI.parse(try Self.request(sample.endpoint, bytes), sample.endpoint),
          sample.endpoint
        )
        taken += 1
      } catch {
        let shown = "\(error) for \(sample.endpoint.path) \(String(decoding: bytes, as: UTF8.self).debugDescription)"
        guard let problem = Refusals.problem(error) else { throw FuzzFinding(description: shown) }
        try FuzzRun.hold((400...499).contains(problem.status) && problem.message.utf8.count < 4_000, shown)
        if error is JSONError {
          unreadable += 1
        } else {
          refused += 1
          // The body as a whole has no name.
          let isObject = (try? JSONValue.parse(bytes))?.objectValue != nil
          try FuzzRun.hold(!isObject || problem.field?.isEmpty == false, shown)
        }
      }
    }
    let counts = "\(taken) taken, \(refused) refused, \(unreadable) no JSON"
    #expect(taken > refused / 20 && refused > taken / 20 && unreadable > 0, "\(counts)")
  }

  @Test func anyQueryIsTakenOrRefusedByName() throws {
    var random = FuzzRun.random("queries")
    let samples = ["siteId=1&cursor=9&limit=50", "state=sent&connectionId=4", "from=2026-11-21T09:00:00Z", "a=%20&b"]
      .map { Array($0.utf8) }
    for _ in 0..<FuzzRun.cases(10_000) {
      let endpoint = random.one(of: AdminAPI.endpoints)
      let bytes = ByteMutator.json.mutate(random.one(of: samples), with: random.one(of: samples), &random)
      let text = String(decoding: bytes, as: UTF8.self)
      do {
        try AdminAPI.check(try QueryParameters(text), endpoint)
      } catch {
        let problem = Refusals.problem(error)
        try FuzzRun.hold(problem?.status == 400 && problem?.field != nil, "\(error) for \(text.debugDescription)")
      }
    }
  }

  /// The same with tokens, rows and answers: nothing becomes an answer of 500.
  @Test(.database) func noRequestBreaksAnOperation() async throws {
    try await APIFixture.run({ $0.token = .init(burst: 1_000_000, perSecond: 1_000_000) }) { api in
      var random = FuzzRun.random("requests")
      let mutator = JSONMutator(samples: Self.samples.map(\.body))
      _ = try await api.makePost()
      for _ in 0..<FuzzRun.cases(300, long: 20_000) {
        let sample = random.one(of: Self.samples)
        let id = random.one(of: ["1", "2", "\(api.connection)", "9223372036854775807"])
        let path = sample.endpoint.path.split(separator: "/").map { $0.hasPrefix("{") ? id : String($0) }
        let body = mutator.mutate(sample.body, faults: 0...2, &random).text()
        let target = "/\(path.joined(separator: "/"))?siteId=\(api.site)"
        let answer = await api.send(sample.endpoint.method, target, json: body)
        let isAnswered = answer.status < 400 || (answer.status < 500 || answer.status == 503) && answer.code != nil
        try FuzzRun.hold(isAnswered, "\(answer.status) \(answer.text) to \(target) \(body)")
      }
    }
  }
}
