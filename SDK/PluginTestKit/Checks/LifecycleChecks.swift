import PluginProtocol

/// Group 8: coming and going.
enum LifecycleChecks {
  static let all: [ConformanceCheck] = [
    ConformanceCheck("lifecycle.drain", "finishes what is under way, takes nothing new (-32021), then answers drain") {
      context in
      let post = try context.post()
      let host = try await context.host { _, _, _ in .held }
      let session = try await context.session(host: host)
      let call = Task { () -> Bool in
        if case .published = try await session.publish(post) { return true }
        return false
      }
      try require(await host.waitUntilHolding(1), "did not ask for anything")
      let drain = Task { () -> ContinuousClock.Instant in
        _ = try await session.process.call(DrainRequest())
        return ContinuousClock.now
      }
      let refusal = try await refusalWhileDraining(session, post)
      let released = ContinuousClock.now
      host.release()
      let published = try await call.value
      let drained = try await drain.value
      try require(published, "the post under way did not go out")
      try require(drained >= released, "answered drain while a post was under way")
      try require(refusal.code == ErrorKind.draining.code, "a new call was refused with \(refusal.code.rawValue)")
      return nil
    },
    ConformanceCheck("lifecycle.shutdown", "answers shutdown and exits with 0 at the end of stdin") { context in
      let host = context.host(account: Account(id: "1", name: "Conformance"))
      let session = try await context.session(host: host)
      _ = try await session.process.call(ShutdownRequest(), within: context.limit(.seconds(5)))
      session.process.closeInput()
      let exit = try require(await session.process.exit(within: context.limit(.seconds(5))), "still runs after 5 s")
      try require(exit == .status(0), "ended with \(exit)")
      return nil
    },
    ConformanceCheck("lifecycle.side-by-side", "works in two processes at once") { context in
      let post = try context.post()
      let account = try await context.account()
      let (one, two) = (context.host(account: account), context.host(account: account))
      async let first = context.deliver(post, host: one)
      async let second = context.deliver(post, host: two)
      for end in try await [first, second] {
        guard case .sent = end else { throw CheckFailure("one of two ended as \(end)") }
      }
      return nil
    },
  ]

  /// The answer to a call that comes after drain. The drain travels on another task, so a first call may overtake it.
  private static func refusalWhileDraining(_ session: AdapterSession, _ post: Post) async throws -> ProtocolError {
    for _ in 0..<200 {
      do throws(ProtocolError) { _ = try await session.render(post) } catch { return error }
      try await Task.sleep(for: .milliseconds(10))
    }
    throw CheckFailure("took new calls after drain")
  }
}
