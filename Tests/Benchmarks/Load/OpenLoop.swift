internal import FoundationEssentials
internal import HTTPClient

/// Sends POST requests at a steady rate, whether earlier ones are answered or not.
///
/// Each time is taken from the instant at which the request should have left, so a server that stands still for a
/// moment is charged for all requests of that moment.
struct OpenLoop {
  struct Report {
    /// Milliseconds.
    var p50 = 0.0
    var p95 = 0.0
    var p99 = 0.0
    /// Answers other than 2xx, and requests without one.
    var errors = 0
    /// Requests a second.
    var achieved = 0.0
  }

  let url: String
  let token: String
  /// Makes the idempotency keys of a run its own.
  private let prefix = UUID().uuidString

  init(url: String, token: String) {
    self.url = url
    self.token = token
  }

  /// Sends each body once.
  func run(bodies: [[UInt8]], rate: Int) async throws -> Report {
    let client = try HTTPClient()
    let clock = ContinuousClock()
    let begin = clock.now + .milliseconds(50)
    let results = await withTaskGroup(of: (Double, Bool).self) { group in
      for (number, body) in bodies.enumerated() {
        let intended = begin + .seconds(Double(number) / Double(rate))
        // Sleep is what paces the load; a late wake counts against the server as much as anything else.
        try? await clock.sleep(until: intended, tolerance: .zero)
        group.addTask {
          let isGood = await send(body, number, client)
          return ((clock.now - intended).inSeconds * 1_000, isGood)
        }
      }
      var all: [(Double, Bool)] = []
      for await result in group { all.append(result) }
      return all
    }
    let spread = Spread(results.map(\.0))
    var report = Report()
    report.achieved = Double(bodies.count) / (clock.now - begin).inSeconds
    report.p50 = spread.percentile(0.5)
    report.p95 = spread.percentile(0.95)
    report.p99 = spread.percentile(0.99)
    report.errors = results.count { !$0.1 }
    await client.close(within: .seconds(1))
    return report
  }

  private func send(_ body: [UInt8], _ number: Int, _ client: HTTPClient) async -> Bool {
    let request = OutgoingRequest(
      method: "POST",
      url: url,
      headers: [
        ("Authorization", "Bearer \(token)"), ("Content-Type", "application/json"),
        ("Idempotency-Key", "\(prefix)-\(number)"),
      ],
      body: .bytes(body),
      addressPolicy: { _ in true }
    )
    guard case .response(let response) = await client.perform(request) else { return false }
    return 200..<300 ~= response.status
  }
}
