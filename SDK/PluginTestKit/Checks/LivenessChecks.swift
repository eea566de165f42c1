import Glibc
import PluginProtocol
import PluginTransport

/// Group 3: always there, and gone when it should be.
enum LivenessChecks {
  static let all: [ConformanceCheck] = [
    ConformanceCheck("liveness.health-under-load", "answers health/check within 1 s while 16 posts are under way") {
      context in
      let post = try context.post()
      let host = try await context.host { _, _, _ in .held }
      let session = try await context.session(host: host)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 1...16 { group.addTask { await ignoringFailure { _ = try await session.publish(post) } } }
        _ = await host.waitUntilHolding(1)
        defer { host.release() }
        do { _ = try await session.process.call(CheckHealthRequest(), within: context.limit(.seconds(1))) } catch {
          throw CheckFailure("health/check failed while posts were under way: \(error)")
        }
      }
      return nil
    },
    ConformanceCheck("liveness.cancel", "answers a canceled call within 2 s, at every request of a post") { context in
      let post = try context.post()
      let clean = try await context.host()
      _ = try await context.deliver(post, host: clean)
      for number in 1...max(1, min(clean.exchanges.count, 20)) {
        let host = try await context.host { at, _, _ in at == number ? .held : nil }
        let session = try await context.session(host: host)
        let call = Task { () -> ContinuousClock.Instant in
          await ignoringFailure { _ = try await session.publish(post) }
          return ContinuousClock.now
        }
        try require(await host.waitUntilHolding(1), "did not come to request \(number) of the post")
        let canceled = ContinuousClock.now
        call.cancel()
        // The host's answer comes late, or with some adapters only after it the call can end.
        let alarm = Task {
          try await Task.sleep(for: .milliseconds(1_000))
          host.release()
        }
        let ended = await call.value
        alarm.cancel()
        try require(
          ended - canceled < context.limit(.seconds(2)),
          "a call that was canceled at request \(number) ended after \(ended - canceled)"
        )
        try require(session.process.current.exit == nil, "the adapter ended when a call was canceled")
      }
      return nil
    },
    ConformanceCheck("liveness.slow-reader", "loses nothing when the host stops reading for a while") { context in
      let process = try await context.raw()
      process.pauseReading(true)
      let count: Int64 = 3_000
      process.send((2...(count + 1)).flatMap { CheckContext.health($0) })
      try await Task.sleep(for: context.isLong ? .seconds(5) : .milliseconds(700))
      process.pauseReading(false)
      let all = await process.first(within: context.limit(.seconds(20))) { $0.frames.count > Int(count) ? true : nil }
      try require(all != nil, "answered \(process.current.frames.count - 1) of \(count)")
      return nil
    },
    ConformanceCheck("liveness.blocked-stderr", "answers while nobody reads its stderr") { context in
      let host = context.host(account: Account(id: "1", name: "Conformance"))
      let session = try await context.session(host: host, errorsAreBlocked: true)
      session.process.connection?.notify(CancelNotification(id: 4_711))
      do { _ = try await session.process.call(CheckHealthRequest(), within: context.limit(.seconds(5))) } catch {
        throw CheckFailure("health/check failed: \(error)")
      }
      return nil
    },
    ConformanceCheck("liveness.end-of-input", "exits with 0 within 1 s after the end of stdin") { context in
      let process = try await context.raw()
      process.closeInput()
      let exit = try require(await process.exit(within: context.limit(.seconds(1))), "still runs after 1 s")
      try require(exit == .status(0), "ended with \(exit)")
      return nil
    },
    ConformanceCheck("liveness.host-gone", "is gone within 2 s after its host, even with a post under way") { context in
      let post = try context.post()
      let host = try await context.host { _, _, _ in .held }
      let session = try await context.session(host: host)
      let call = Task { await ignoringFailure { _ = try await session.publish(post) } }
      try require(await host.waitUntilHolding(1), "did not ask for anything")
      session.process.closeInput()
      let exit = await session.process.exit(within: context.limit(.seconds(2)))
      host.release()
      session.process.kill(SIGKILL)
      await call.value
      try require(exit != nil, "still runs after 2 s")
      return nil
    },
    ConformanceCheck("liveness.terminate", "ends within 3 s after SIGTERM, and the post goes on in the next process") {
      context in
      let post = try context.post()
      let account = try await context.account()
      let clean = context.host(account: account)
      _ = try await context.deliver(post, host: clean)
      let last = clean.exchanges.count
      let host = context.host(account: account) { number, _, _ in number == last ? .held : nil }
      let session = try await context.session(host: host)
      let call = Task { await ignoringFailure { _ = try await session.publish(post) } }
      try require(await host.waitUntilHolding(1), "did not come to its last request")
      session.process.kill(SIGTERM)
      let exit = await session.process.exit(within: context.limit(.seconds(3)))
      session.process.kill(SIGKILL)
      host.release()
      await call.value
      try require(exit != nil, "still runs 3 s after SIGTERM")
      _ = try await context.deliver(post, host: host)
      let (wanted, got) = (clean.effects.filter(\.isCommit).count, host.effects.filter(\.isCommit).count)
      try require(got == wanted, "published \(got) times instead of \(wanted)")
      return nil
    },
    ConformanceCheck("liveness.no-children", "starts no other process") { context in
      let host = try await context.host()
      let session = try await context.session(host: host)
      if let post = try? context.post() { await ignoringFailure { _ = try await session.publish(post) } }
      let children = ProcessFacts.children(of: session.process.pid)
      try require(children.isEmpty, "started \(children.count) processes")
      return nil
    },
    ConformanceCheck("liveness.flat", "holds no more descriptors after many calls than after a few") { context in
      let host = try await context.host()
      let session = try await context.session(host: host)
      let post = (try? context.post()) ?? Post(text: "a")
      func work(_ count: Int) async throws -> Int {
        for _ in 0..<count {
          _ = try await session.process.call(CheckHealthRequest())
          await ignoringFailure { _ = try await session.render(post) }
        }
        guard let open = ProcessFacts.descriptors(of: session.process.pid) else {
          throw CheckSkip("the system does not show its descriptors")
        }
        return open.count
      }
      let before = try await work(20)
      let after = try await work(context.isLong ? 10_000 : 400)
      try require(after <= before, "\(before) descriptors became \(after)")
      return nil
    },
  ]
}

/// Runs something whose failure another check is about.
func ignoringFailure(_ body: () async throws -> Void) async {
  do { try await body() } catch {}
}
