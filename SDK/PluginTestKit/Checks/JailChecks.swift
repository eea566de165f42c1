import PluginProtocol

/// Group 7: what an adapter has no need of.
enum JailChecks {
  static let all: [ConformanceCheck] = [
    ConformanceCheck("jail.descriptors", "holds no socket, and nothing but its pipes and its own program") { context in
      let host = try await context.host()
      let session = try await context.session(host: host)
      if let post = try? context.post() { await ignoringFailure { _ = try await session.publish(post) } }
      guard let open = ProcessFacts.descriptors(of: session.process.pid) else {
        throw CheckSkip("the system does not show its descriptors")
      }
      let program = [context.launch.executable] + context.launch.arguments
      let strange = open.values.filter { target in
        !["pipe:", "anon_inode:", "/dev/null"].contains { target.hasPrefix($0) } && !program.contains(target)
      }
      try require(strange.isEmpty, "holds \(strange.sorted().joined(separator: ", "))")
      return nil
    },
    ConformanceCheck("jail.confined", "works inside the jail") { context in
      guard let confined = context.suite.confined else { throw CheckSkip("there is no jail here") }
      let host = try await context.host()
      let session = try AdapterSession(confined, host: host, ledger: context.ledger)
      try await session.initialize(within: context.limit(.milliseconds(context.manifest.startMs)))
      guard let post = try? context.post() else { return "started only: there are no posts" }
      guard case .published = try await session.publish(post) else { throw CheckFailure("did not publish in the jail") }
      return nil
    },
  ]
}
