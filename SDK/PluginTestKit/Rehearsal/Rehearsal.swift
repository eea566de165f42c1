import JSONText
import PluginProtocol

/// One walk through an adapter: start, account, then each post of the cases checked, rendered and published.
public struct Rehearsal: Sendable {
  /// One thing that was tried.
  public struct Line: Sendable {
    /// What was tried.
    public let what: String
    /// Whether it went well.
    public let isGood: Bool
    /// What came of it, for people.
    public let detail: String
    /// Time it took in milliseconds.
    public let milliseconds: Int64
  }

  private let launch: AdapterLaunch
  private let manifest: AdapterManifest
  private let cases: ConformanceCases
  private let platform: any ScriptedPlatform
  private let cassette: CassetteRecorder?

  /// Prepares a walk.
  ///
  /// - Parameters:
  ///   - platform: answers the adapter's requests; nil for the answers of the cases.
  ///   - cassette: gets every frame.
  public init(
    launch: AdapterLaunch,
    manifest: AdapterManifest,
    cases: ConformanceCases,
    platform: (any ScriptedPlatform)? = nil,
    cassette: CassetteRecorder? = nil
  ) {
    self.launch = launch
    self.manifest = manifest
    self.cases = cases
    self.platform = platform ?? CasePlatform(cases)
    self.cassette = cassette
  }

  /// Walks through; false if something did not go well. What follows a failed start is left out.
  public func run(_ report: @escaping @Sendable (Line) -> Void) async -> Bool {
    let host = KitHost(manifest: manifest, account: cases.account, platform: platform)
    let session: AdapterSession
    do {
      let cassette = cassette
      session = try AdapterSession(launch, host: host) { frame, toAdapter in
        cassette?.take(frame, toAdapter: toAdapter)
      }
    } catch {
      report(Line(what: "start", isGood: false, detail: "\(error)", milliseconds: 0))
      return false
    }
    var isGood = await step("initialize", report) {
      let answer = try await session.initialize()
      return "\(answer.plugin.id) \(answer.plugin.version), \(answer.methods.count) methods"
    }
    guard isGood else { return false }
    isGood = await step("account/identify", report) {
      let identity = try await session.call { IdentifyAccountRequest(meta: $0, account: cases.account) }
      return "\(identity.name) (\(identity.id))"
    }
    let capabilities = await step("account/capabilities", report) {
      let answer = try await session.call { DescribeAccountRequest(meta: $0, account: cases.account) }
      return "\(answer.text.limit) \(answer.text.unit)"
    }
    isGood = isGood && capabilities
    for entry in cases.accepted {
      let went = await post(entry, session, report)
      isGood = isGood && went
    }
    for problem in host.problems { report(Line(what: "rules", isGood: false, detail: problem, milliseconds: 0)) }
    session.process.closeInput()
    _ = await session.process.exit(within: .seconds(2))
    return isGood && host.problems.isEmpty
  }

  private func post(
    _ entry: ConformanceCases.Accepted,
    _ session: AdapterSession,
    _ report: @escaping @Sendable (Line) -> Void
  ) async -> Bool {
    let checked = await step("post/validate “\(entry.name)”", report) {
      let findings = try await session.validate(entry.post).findings
      if let fault = findings.first(where: { $0.severity == .error }) { throw CheckFailure(fault.message) }
      return findings.isEmpty ? "no findings" : findings.map(\.code).joined(separator: ", ")
    }
    let published = await step("post/publish “\(entry.name)”", report) {
      var post = entry.post
      post.text = try await session.render(post).text
      // Each post is a delivery of its own, with a journal of its own.
      let host = session.host
      host.beginDelivery()
      switch try await session.publish(post) {
      case .published(let published): return published.url ?? published.remoteID
      case .wait(let wait): return "waits \(wait.afterMs) ms: \(wait.why)"
      case .partial(let partial): throw CheckFailure("\(partial.sent) of \(partial.total): \(partial.error)")
      }
    }
    return checked && published
  }

  private func step(
    _ what: String,
    _ report: @Sendable (Line) -> Void,
    _ body: () async throws -> String
  ) async -> Bool {
    let began = ContinuousClock.now
    let result: (Bool, String)
    do { result = (true, try await body()) } catch { result = (false, "\(error)") }
    let (seconds, attoseconds) = (ContinuousClock.now - began).components
    let milliseconds = seconds * 1_000 + attoseconds / 1_000_000_000_000_000
    report(Line(what: what, isGood: result.0, detail: result.1, milliseconds: milliseconds))
    return result.0
  }
}
