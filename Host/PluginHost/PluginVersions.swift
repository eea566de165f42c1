internal import FoundationEssentials
internal import JSONText
internal import Logging
internal import PluginManifest
internal import Synchronization

/// All versions of one plugin: carries out what `Rollout` decides about them.
final class PluginVersions: Sendable {
  private struct State {
    var rollout = Rollout()
    var members: [String: PluginSupervisor] = [:]
    /// Digests in the order in which they came, newest last.
    var order: [String] = []
    /// Those that must stay because somebody listed them.
    var listed: Set<String> = []
    var leaving: [PluginSupervisor] = []
    var isRemoved = false
  }

  /// Versions that are kept for deliveries that began on them, beside those that are listed.
  static let keptVersions = 2

  let id: String
  private let tools: PluginSupervisor.Tools
  private let onEvent: @Sendable (PluginEvent) -> Void
  private let state = Mutex(State())

  init(id: String, tools: PluginSupervisor.Tools, onEvent: @escaping @Sendable (PluginEvent) -> Void) {
    self.id = id
    self.tools = tools
    self.onEvent = onEvent
  }

  // MARK: Versions

  /// Makes the first of the list the version for new calls as soon as it has passed its test, and keeps the others.
  ///
  /// Nothing is tested when there was no version before, because nothing could be lost.
  func offer(_ plugins: [InstalledPlugin]) -> String? {
    guard let first = plugins.first else { return nil }
    let (actions, again) = state.withLock { state in
      for plugin in plugins where state.members[plugin.digest] == nil { add(plugin, to: &state) }
      state.listed = Set(plugins.map(\.digest))
      let predecessor = first.predecessor.flatMap { before in
        state.members[before.digest].map { _ in
          Rollout.Predecessor(digest: before.digest, watchEnd: .now + before.watchedFor)
        }
      }
      let actions = state.rollout.offer(first.digest, after: predecessor)
      // What was taken back is forgiven by whoever offers it again.
      return (actions, actions.contains(.test(first.digest)) ? state.members[first.digest] : nil)
    }
    again?.release()
    again?.resume()
    let test = perform(actions)
    tidy()
    return test
  }

  /// Tests a version and takes it into use.
  ///
  /// - Returns: Why it was not, or nil.
  func test(_ digest: String) async -> String? {
    guard let supervisor = state.withLock({ $0.members[digest] }) else { return "the version was taken away" }
    let problem = await supervisor.test()
    let actions = state.withLock { $0.rollout.tested(digest, problem: problem, now: .now) }
    _ = perform(actions)
    tidy()
    guard actions.isEmpty else { return problem }
    return "another version was chosen in the meantime"
  }

  /// Why the version is not in use, if it was refused before.
  func refusal(of digest: String) -> String? {
    state.withLock { $0.rollout.refusal(of: digest) }
  }

  private func add(_ plugin: InstalledPlugin, to state: inout State) {
    state.members[plugin.digest] = PluginSupervisor(plugin: plugin, tools: tools) { [weak self] event in
      self?.note(event, of: plugin.digest)
    }
    state.order.append(plugin.digest)
  }

  private func note(_ event: PluginEvent, of digest: String) {
    onEvent(event)
    guard case .crashed(_, let reason) = event else { return }
    _ = perform(state.withLock { $0.rollout.ended(digest, reason, now: .now) })
  }

  /// - Returns: The version to test.
  private func perform(_ actions: [Rollout.Action]) -> String? {
    var test: String?
    for action in actions {
      switch action {
      case .test(let digest): test = digest
      case .use(let digest): member(digest)?.resume()
      case .retire(let digest): member(digest)?.retire()
      case .condemn(let digest, let reason): member(digest)?.condemn(.rolledBack(reason))
      case .reportUpgrade(let old, let new):
        report(old, new) { .upgraded(from: $0, to: $1) }
        tools.logger.notice("A new version of a plugin is in use", ["plugin": id, "version": version(new)])
      case .reportRefusal(let digest, let reason):
        report(digest, digest) { _, new in .selfTestFailed(new, reason: reason) }
        tools.logger.error(
          "A new version of a plugin failed its test",
          ["plugin": id, "version": version(digest), "reason": "\(reason)"]
        )
      case .reportRollback(let new, let old, let reason):
        report(new, old) { .rolledBack(from: $0, to: $1, reason: reason) }
        tools.logger.error(
          "A new version of a plugin was taken back",
          ["plugin": id, "version": version(new), "reason": "\(reason)"]
        )
      }
    }
    return test
  }

  private func report(
    _ first: String,
    _ second: String,
    _ event: (PluginEvent.Subject, PluginEvent.Subject) -> PluginEvent
  ) {
    guard let first = member(first)?.subject, let second = member(second)?.subject else { return }
    onEvent(event(first, second))
  }

  private func version(_ digest: String) -> LogValue {
    .string(member(digest)?.plugin.version ?? digest)
  }

  private func member(_ digest: String) -> PluginSupervisor? {
    state.withLock { $0.members[digest] }
  }

  /// Lets go of versions that nobody listed and nobody needs.
  private func tidy() {
    let gone = state.withLock { state in
      let free = state.order.filter { !state.listed.contains($0) && !state.rollout.needs($0, now: .now) }
      let gone = free.dropLast(Self.keptVersions).compactMap { digest in
        state.order.removeAll { $0 == digest }
        return state.members.removeValue(forKey: digest)
      }
      state.leaving += gone
      return gone
    }
    dismiss(gone)
  }

  private func dismiss(_ supervisors: [PluginSupervisor]) {
    for supervisor in supervisors {
      supervisor.dismiss()
      Task {
        await supervisor.closed()
        state.withLock { $0.leaving.removeAll { $0 === supervisor } }
      }
    }
  }

  /// Takes the plugin away: no new calls, the open ones run to their end.
  func remove() {
    let (gone, subject) = state.withLock { state in
      state.isRemoved = true
      let gone = Array(state.members.values)
      let subject = state.rollout.current.flatMap { state.members[$0]?.subject }
      state.leaving += gone
      state.members = [:]
      state.order = []
      state.rollout = Rollout()
      return (gone, subject)
    }
    dismiss(gone)
    if let subject { onEvent(.removed(subject)) }
  }

  // MARK: Calls

  /// The version that new calls go to.
  var current: PluginSupervisor? {
    state.withLock { state in state.rollout.current.flatMap { state.members[$0] } }
  }

  /// The version of that name: the current one if it has it, another one if that was not taken back.
  func version(named version: String) -> PluginSupervisor? {
    state.withLock { state in
      if let current = state.rollout.current.flatMap({ state.members[$0] }), current.plugin.version == version {
        return current
      }
      let digest = state.order.last { digest in
        state.members[digest]?.plugin.version == version && state.rollout.refusal(of: digest) == nil
          && state.rollout.candidate != digest
      }
      return digest.flatMap { state.members[$0] }
    }
  }

  func begin(
    _ method: String,
    params: RawJSON,
    attempt: Int,
    deadline: Duration,
    pinnedVersion: String?,
    job: String?
  ) async throws(PluginFailure) -> PluginCall {
    guard let pinnedVersion else {
      return try await beginOnCurrent(method, params: params, attempt: attempt, deadline: deadline, job: job)
    }
    guard let supervisor = version(named: pinnedVersion) else { throw .versionGone(pinnedVersion) }
    do throws(PluginFailure) {
      return try await supervisor.begin(method, params: params, attempt: attempt, deadline: deadline, job: job)
    } catch {
      // The current version is waited for. An older one that can not be started is as good as gone.
      if supervisor === current { throw error }
      switch error {
      case .startFailed, .quarantined, .backingOff, .shuttingDown: throw .versionGone(pinnedVersion)
      default: throw error
      }
    }
  }

  private func beginOnCurrent(
    _ method: String,
    params: RawJSON,
    attempt: Int,
    deadline: Duration,
    job: String?
  ) async throws(PluginFailure) -> PluginCall {
    while true {
      guard let supervisor = current else { throw .notInstalled(id) }
      do throws(PluginFailure) {
        return try await supervisor.begin(method, params: params, attempt: attempt, deadline: deadline, job: job)
      } catch {
        // Another version took over while the call waited for this one.
        guard !error.mayHaveRun, let current, current !== supervisor else { throw error }
      }
    }
  }

  // MARK: Status and end

  func status() -> PluginStatus? {
    let (members, current, watchEnd) = state.withLock { state in
      let current = state.rollout.current
      let digests = state.order.filter { $0 != current }.reversed()
      let members = ([current].compactMap(\.self) + digests).compactMap { state.members[$0] }
      return (members, current, state.rollout.watchedUntil(.now))
    }
    let all = members.map { ($0.status(), $0.isRetired) }
    guard let first = all.first?.0 else { return nil }
    let watchedUntil = watchEnd.map {
      Date(timeIntervalSinceNow: Double(ContinuousClock.now.duration(to: $0).components.seconds))
    }
    return PluginStatus(
      id: first.id,
      version: first.version,
      digest: first.digest,
      tier: first.tier,
      state: first.state,
      pid: first.pid,
      openCalls: first.openCalls,
      restarts: first.restarts,
      lastExit: first.lastExit,
      lastErrorLines: first.lastErrorLines,
      quarantine: first.quarantine,
      counters: first.counters,
      watchedUntil: watchedUntil,
      versions: all.map { status, isRetired in
        PluginStatus.Version(
          version: status.version,
          digest: status.digest,
          isCurrent: status.digest == current,
          isRetired: isRetired,
          state: status.state,
          pid: status.pid,
          openCalls: status.openCalls,
          quarantine: status.quarantine
        )
      }
    )
  }

  /// The frames of all versions that are there now.
  func tap() -> AsyncStream<FrameRecord> {
    let members = state.withLock { Array($0.members.values) }
    guard members.count > 1 else { return members.first?.frames.tap() ?? AsyncStream { $0.finish() } }
    let (stream, continuation) = AsyncStream<FrameRecord>.makeStream(
      bufferingPolicy: .bufferingNewest(FrameLog.watcherBuffer)
    )
    let task = Task {
      await withDiscardingTaskGroup { group in
        for member in members {
          group.addTask {
            for await frame in member.frames.tap() { continuation.yield(frame) }
          }
        }
      }
      continuation.finish()
    }
    continuation.onTermination = { _ in task.cancel() }
    return stream
  }

  /// Ends the quarantine of every version that was not taken back.
  func release() {
    let members = state.withLock { state in
      state.members.filter { state.rollout.refusal(of: $0.key) == nil }.values
    }
    for member in members { member.release() }
  }

  /// Ends all processes and starts none any more.
  func shutdown() {
    for supervisor in everybody { supervisor.shutdown() }
  }

  func closed() async {
    for supervisor in everybody { await supervisor.closed() }
  }

  private var everybody: [PluginSupervisor] {
    state.withLock { Array($0.members.values) + $0.leaving }
  }
}
