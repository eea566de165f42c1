import JSONText
import PluginProtocol
import Synchronization

/// Group 6: what must not be known, or not be told.
enum SecretChecks {
  static let all: [ConformanceCheck] = [
    ConformanceCheck("secrets.environment", "runs with the host's three variables and no other") { context in
      let host = context.host(account: Account(id: "1", name: "Conformance"))
      let session = try await context.session(host: host)
      guard let found = ProcessFacts.environment(of: session.process.pid) else {
        throw CheckSkip("the system does not show its environment")
      }
      let wanted = context.launch.environment.map { "\($0.key)=\($0.value)" }
      try require(Set(found) == Set(wanted), "its environment is \(found.sorted())")
      return nil
    },
    ConformanceCheck("secrets.credentials", "never sends a header or a key that carries credentials") { context in
      let host = try await context.host()
      for entry in try context.cases().accepted { _ = try await context.deliver(entry.post, host: host) }
      let refused = host.problems.filter { $0.contains("header") || $0.contains("query") }
      try require(refused.isEmpty, refused.joined(separator: "; "))
      for exchange in host.exchanges {
        let names = Array(exchange.request.query.keys) + Array(exchange.request.headers.keys)
        let bad = names.filter { suspicious.contains($0.lowercased()) }
        try require(bad.isEmpty, "the rule \(exchange.request.rule) is asked with \(bad)")
      }
      return nil
    },
    ConformanceCheck("secrets.canary", "repeats nothing of an answer that it was not asked to keep") { context in
      let post = try context.post()
      let found = Mutex<[String]>([])
      let echo = RawJSON.object { writer in
        writer.field("echo", canary)
        writer.field("debug", canary)
      }
      let clean = try await context.host()
      _ = try await context.deliver(post, host: clean)
      for number in 1...max(1, clean.exchanges.count) {
        for status in [400, 401, 500] {
          let answer = HTTPAnswer(status: status, headers: ["x-debug": canary], json: echo)
          let host = try await context.host { at, _, _ in at == number ? .answered(answer) : nil }
          let session = try AdapterSession(context.launch, host: host, ledger: context.ledger) { frame, toAdapter in
            guard !toAdapter, String(decoding: frame, as: UTF8.self).contains(canary) else { return }
            found.withLock { $0.append("status \(status) to request \(number)") }
          }
          try await session.initialize()
          await ignoringFailure { _ = try await session.publish(post) }
          if session.process.errorText.contains(canary) {
            found.withLock { $0.append("status \(status) to request \(number), on stderr") }
          }
        }
      }
      let places = found.withLock { $0 }
      try require(places.isEmpty, "repeated a part of the answer that it does not know: \(places[0])")
      return nil
    },
    ConformanceCheck("secrets.denied", "ends a call with an error when the host refuses a request") { context in
      let post = try context.post()
      let denial = ProtocolError(.capabilityDenied, "not granted")
      let host = try await context.host { _, _, _ in .refused(denial) }
      let session = try await context.session(host: host)
      do {
        let end = try await session.publish(post)
        throw CheckFailure("ended as \(end) although every request was refused")
      } catch let error as ProtocolError {
        try require(error.kind != .connectionLost, "the adapter ended")
        try require(host.exchanges.count < 20, "asked \(host.exchanges.count) times for what was refused")
      }
      return nil
    },
  ]

  private static let canary = "canary-7f3d91c2a4"
  private static let suspicious: Set<String> = [
    "access_token", "api_key", "apikey", "authorization", "client_secret", "cookie", "password", "proxy-authorization",
    "token", "x-api-key",
  ]
}
