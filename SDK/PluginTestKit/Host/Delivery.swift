import PluginProtocol

/// Brings one post out as a host does: through crashes, with the journal, never twice.
struct Delivery: Sendable {
  /// How it ended.
  enum End: Sendable {
    case sent(Publication.Published)
    case partial(Publication.Partial)
    case failed(ProtocolError)
    /// Nobody knows; a person is asked.
    case unconfirmed(String)
    /// The search found what was published.
    case found(String)
  }

  /// How often the adapter is started again before something must be wrong.
  private static let maximumStarts = 12

  let launch: AdapterLaunch
  let host: KitHost
  let post: Post
  let ledger: OutputLedger?
  let tap: AdapterProcess.Tap

  /// Runs until the post is out, refused or in doubt.
  func run() async throws(ProtocolError) -> End {
    var session: AdapterSession?
    var sleeps = 0
    for _ in 0..<(Self.maximumStarts + 20) {
      let running: AdapterSession
      if let session { running = session } else { running = try await start() }
      session = running
      do throws(ProtocolError) {
        if !host.openCommits.isEmpty {
          if let end = try await reconcile(running) { return end }
          continue
        }
        switch try await running.publish(post) {
        case .published(let published): return .sent(published)
        case .partial(let partial): return .partial(partial)
        case .wait:
          sleeps += 1
          guard sleeps <= 10 else { throw ProtocolError(.internal, "the adapter waits without end") }
        }
      } catch {
        switch error.kind {
        case .connectionLost: session = nil
        case .prepareExpired: host.forget(steps: error.steps)
        case _ where !host.openCommits.isEmpty: continue
        default: return .failed(error)
        }
      }
    }
    throw ProtocolError(.internal, "the delivery does not come to an end")
  }

  private func start() async throws(ProtocolError) -> AdapterSession {
    do throws(AdapterProcessError) {
      let session = try AdapterSession(launch, host: host, ledger: ledger, tap: tap)
      return try await initialized(session)
    } catch {
      throw ProtocolError(.internal, error.description)
    }
  }

  private func initialized(_ session: AdapterSession) async throws(AdapterProcessError) -> AdapterSession {
    do throws(ProtocolError) {
      try await session.initialize()
      return session
    } catch {
      throw AdapterProcessError("initialize failed: \(error)")
    }
  }

  private func reconcile(_ session: AdapterSession) async throws(ProtocolError) -> End? {
    guard host.manifest.methods.contains(ReconcilePostRequest.method) else {
      return .unconfirmed("the adapter cannot search")
    }
    switch try await session.reconcile(post) {
    case .found(let remoteID, _):
      guard !post.segments.isEmpty else { return .found(remoteID) }
      host.confirmOpenCommits(remoteID)
      return nil
    case .unknown(let why): return .unconfirmed(why)
    case .absent:
      guard host.manifest.absenceIsCertain else { return .unconfirmed("absence proves nothing here") }
      host.forgetOpenCommits()
      return nil
    }
  }
}
