import Egress
import FoundationEssentials
import JSONDocument
import JSONText
import JobQueue
import Logging
import PluginHost
import PluginManifest
import PluginProtocol

import struct Egress.HTTPAnswer

/// One attempt at one delivery, from the claimed job to the next move of the queue.
struct DeliverySession: Sendable {
  let task: DeliveryTask
  let job: ClaimedJob
  let account: Account
  let manifest: PluginManifest
  /// The plugin version that the run was started with; nil for a run that starts now.
  let startedVersion: String?
  /// What keys of our own are made of: another one for each post that is deleted.
  let requestKey: String
  let variant: RunVariant
  let journal: DeliveryJournal
  /// What the answers say beside their content.
  let watch: AttemptWatch
  let tools: DeliveryTools

  /// How often a plugin that died is started again within one attempt.
  private static let maximumReplays = 3

  /// How often a request that publishes is sent in one run, when each time it is certain that nothing was published.
  private static let maximumTries = 6

  /// How long a delivery waits that may not be sent because the node must look at its database first, in seconds.
  private static let holdPause: TimeInterval = 0.5

  /// Runs the attempt.
  func run() async throws -> NextMove {
    if let end = try await endWithoutCall() { return .end(end) }
    try await closeLost()
    if !journal.current.openCommits.isEmpty, !mayResend {
      if let move = try await reconcile() { return move }
      // What was open is certainly not out. What was accepted before it still can not be replayed by another version.
      if let end = try await endWithoutCall() { return .end(end) }
    }
    // A job that was taken out of its lane for a look goes back there: what is sent keeps the lane's order and limits.
    if tools.permit.isHeld || job.isCheck && journal.current.records.contains(where: \.isLost) { return .refused }
    var replays = 0
    while true {
      let end = try await publish()
      if journal.hasLostDatabase { return .check(after: 1) }
      if case .pluginLost(let problem) = end, problem.retry != .after, replays < Self.maximumReplays,
        !journal.needsReconcile, journal.refusal == nil
      {
        // The plugin died, not the delivery: it is started again and answered from the journal.
        replays += 1
        try await journal.reload()
        if journal.current.openCommits.isEmpty || mayResend { continue }
      }
      let isOpen = !journal.current.openCommits.isEmpty
      if journal.refusal == .held, !isOpen { return .snooze(Self.holdPause) }
      if let refusal = journal.refusal, refusal == .leaseLost || !isOpen { return .refused }
      // The platform honours our key: the same request goes out again, later. The lane stays held until then.
      if isOpen, !journal.needsReconcile, journal.refusal == nil, mayResend { return .check(after: resendDelay(end)) }
      guard isOpen || journal.needsReconcile else { return next(after: end) }
      let published = journal.current.published.count
      if let move = try await reconcile() { return move }
      // A post of a thread was found: the rest goes out now.
      if journal.current.published.count > published { continue }
      // Certainly nothing happened, so another attempt publishes.
      return next(after: .failed(end.problem ?? Self.noOutcome))
    }
  }

  /// Adds what the journal knows of the posts of a thread, where the plugin did not say it.
  private func withSegments(_ end: DeliveryEnd) -> DeliveryEnd {
    guard variant.parts > 1, end.segments.isEmpty else { return end }
    var end = end
    end.segments = journal.current.published.compactMap { $0.remoteID.map { PublishedSegment(remoteID: $0) } }
    return end
  }

  private func next(after end: CallEnd) -> NextMove {
    let policy = EndPolicy(maximumAttempts: job.maximumAttempts, parts: variant.parts)
    switch policy.next(after: heeding(end), journal: journal.current, attempt: job.attempt, age: age) {
    case .end(let end): return .end(withSegments(end))
    case .again(let delay, let counted, let problem): return .again(after: delay, counted: counted, problem: problem)
    case .holdAccount(let delay, let problem): return .holdAccount(delay, problem: problem)
    case .snooze(let delay): return .snooze(delay)
    case .reconcile: return .check(after: 1)
    }
  }

  /// The same end, with the platform's own word about waiting where the plugin passed on a shorter one or none.
  private func heeding(_ end: CallEnd) -> CallEnd {
    guard case .failed(var problem) = end, problem.retry == .after, let wait = watch.wait else { return end }
    problem.retryAfter = max(problem.retryAfter ?? 0, wait)
    return .failed(problem)
  }

  /// How long the delivery has been waiting to go out. A post may be planned for an instant in the past.
  var age: TimeInterval { Date().timeIntervalSince(max(task.scheduledFor, task.createdAt)) }

  /// Whether outages are still waited out.
  var isPatient: Bool { age < EndPolicy(maximumAttempts: job.maximumAttempts).patience }

  private static let noOutcome = DeliveryProblem(
    kind: "outcomeUnknown",
    retry: .retry,
    message: "A request got no answer; it goes out again under the same key"
  )

  /// Whether the run began on another version of the plugin than the one that is asked now.
  var isOtherVersion: Bool { startedVersion.map { $0 != "\(manifest.version)" } ?? false }

  /// Whether the open commits may simply be sent again: the platform knows our key, a day has not passed, and the
  /// version that sent them is there to do it.
  private var mayResend: Bool {
    !isOtherVersion && isPatient
      && journal.current.canResend(rules: manifest.rules.mapValues { EffectRule($0) }, at: Date())
  }

  /// 1, 2, 4 … 256 s, or what the platform asked for.
  private func resendDelay(_ end: CallEnd) -> TimeInterval {
    max(end.problem?.retryAfter ?? 0, TimeInterval(1 << min(max(job.checks, 0), 8)))
  }

  /// The end of a delivery that is out and can not be replayed. Forgets what another plugin version prepared.
  private func endWithoutCall() async throws -> DeliveryEnd? {
    if journal.current.openCommits.isEmpty {
      // A commit that a look-up or a person confirmed needs no call.
      if variant.parts == 1,
        let confirmed = journal.current.acceptedCommits.last(where: { $0.closedBy != nil && $0.answer == nil })
      {
        return DeliveryEnd(.sent, remoteID: confirmed.remoteID, url: confirmed.remoteURL)
      }
      if isOtherVersion, let accepted = journal.current.acceptedCommits.first(where: { $0.key.run == task.run }) {
        let warning = "The adapter was replaced by another version after a request was accepted; nothing was sent again"
        let published = journal.current.published
        guard published.count < variant.parts else {
          let (id, url) = (accepted.remoteID, accepted.remoteURL)
          return withSegments(DeliveryEnd(.sent, remoteID: id, url: url, warnings: [warning]))
        }
        let problem = DeliveryProblem(kind: "versionReplaced", retry: .userFix, message: warning)
        return withSegments(DeliveryEnd(.partial, remoteID: published.first?.remoteID, problem: problem))
      }
    }
    if isOtherVersion, !journal.current.acceptedCommits.contains(where: { $0.key.run == task.run }) {
      let version = "\(manifest.version)"
      try await tools.store.forgetPrepares(delivery: task.id, run: task.run, steps: nil, version: version)
      try await journal.reload()
    }
    return nil
  }

  // MARK: Calls

  private func publish() async throws -> CallEnd {
    do {
      let result = try await call("post/publish", parameters: parameters(evidence: nil), job: "\(task.id).\(task.run)")
      return PluginResult.publishEnd(result)
    } catch {
      if case .jobParked = error { return .failed(PluginResult.problem(error)) }
      guard case .remote(let remote) = error else { return .pluginLost(PluginResult.problem(error)) }
      if remote.kind == .prepareExpired {
        try await tools.store.forgetPrepares(delivery: task.id, run: task.run, steps: remote.steps)
      }
      return .failed(PluginResult.problem(remote))
    }
  }

  /// Runs one call and answers its requests; returns when its result is there and nothing of it is on its way.
  ///
  /// It goes to the very version whose manifest is used here, also when another one takes over in the meantime.
  ///
  /// - Parameter job: Names the work, so that a plugin that dies of it is not asked for ever.
  func call(_ method: String, parameters: RawJSON, job: String) async throws(PluginFailure) -> RawJSON {
    let limit = manifest.limits.call
    let deadline = ContinuousClock.now + limit
    let call = try await tools.plugins.begin(
      method,
      plugin: manifest.id,
      params: parameters,
      attempt: self.job.attempt,
      deadline: limit,
      pinnedVersion: "\(manifest.version)",
      job: job
    )
    let media = VariantMediaSource(media: variant.media, files: tools.files)
    let desk = desk(method, call, media, deadline)
    let end = await withDiscardingTaskGroup { group -> Result<RawJSON, PluginFailure> in
      // Streams end with the call; requests that are on their way are waited for.
      defer { desk.finish() }
      while true {
        switch await call.next() {
        case .request(let request):
          group.addTask { await answer(request, of: call, desk, media) }
        case .result(let result): return .success(result)
        case .failed(let failure): return .failure(failure)
        }
      }
    }
    return try end.get()
  }

  private func answer(
    _ request: PluginRequest,
    of call: PluginCall,
    _ desk: EgressDesk,
    _ media: VariantMediaSource
  ) async {
    do throws(EgressError) {
      if let answer = await desk.answer(request.method, request.params) {
        call.answer(request, result: try result(of: answer))
        return
      }
      switch request.method {
      case "host/media.stat":
        call.answer(request, result: try media.stat(request.params))
      case "host/media.read":
        call.answer(request, result: try await media.read(request.params))
      default:
        let message = "The host has no method \(request.method)"
        call.refuse(request, error: ProtocolError(.methodNotFound, message))
      }
    } catch {
      call.refuse(request, error: ProtocolError(error))
    }
  }

  private func desk(
    _ method: String,
    _ call: PluginCall,
    _ media: VariantMediaSource,
    _ deadline: ContinuousClock.Instant
  ) -> EgressDesk {
    EgressDesk(
      egress: tools.egress,
      call: EgressDesk.Call(
        method: method,
        manifest: manifest,
        scope: EgressScope(
          site: task.siteID,
          connection: task.connectionID,
          pluginID: manifest.id,
          requestKey: requestKey,
          accountOrigin: account.origin,
          accountEndpoint: account.endpoint
        ),
        secrets: AccountSecrets(
          account: account,
          revocations: tools.accounts.revocations,
          renewer: tools.renewer,
          databaseLost: { journal.loseDatabase() },
          used: { watch.useCredentials() }
        ),
        journal: journal,
        media: media,
        deadline: deadline
      ),
      notify: { call.notify(EgressDesk.notification, params: $0) }
    )
  }

  /// Notes what an answer says beside its content.
  private func result(of answer: HTTPAnswer) throws(EgressError) -> RawJSON {
    if answer.redactions > 0 {
      tools.logger.warning(
        "A platform's answer held a secret, which was taken out",
        ["delivery": .int(task.id), "plugin": "\(manifest.id)"]
      )
    }
    tools.limits.noteUse(connection: task.connectionID)
    watch.note(answer, at: Date())
    if let limit = answer.rateLimit {
      tools.limits.note(
        limit,
        site: task.siteID,
        connection: task.connectionID,
        platform: manifest.id,
        rule: answer.rule
      )
    }
    switch answer.reply {
    case .result(let result): return answer.isReplay ? Self.replayed(result) : result
    case .error(let error): throw error
    }
  }

  /// The answer with the note that the journal gave it.
  private static func replayed(_ result: RawJSON) -> RawJSON {
    // The journal holds objects; anything else would be for the plugin to refuse.
    guard let members = try? result.object().all else { return result }
    return RawJSON.object(capacity: result.bytes.count + 32) { writer in
      for (name, value) in members { writer.field(name, value) }
      writer.field("replayed", true)
    }
  }

  private func parameters(evidence: [EffectRecord]?) -> RawJSON {
    RawJSON.object(capacity: 1024) { writer in
      writer.field("account", account.json())
      writer.object("job") { writer in
        writer.field("key", requestKey)
        writer.field("now", RFC3339.format(variant.startedAt))
        writer.field("seed", variant.seedText)
      }
      writer.field("post", variant.post)
      guard let evidence else { return }
      writer.array("evidence", lines(evidence)) { writer, line in line.write(to: &writer) }
    }
  }

  // MARK: Reconciling

  /// Asks the platform what happened. Nil means: certainly nothing, publish now.
  private func reconcile() async throws -> NextMove? {
    if journal.current.openCommits.contains(where: { $0.lastByteAt == nil }) {
      try await tools.store.closeLastByte(delivery: task.id)
    }
    let hasChangedRequest = journal.needsReconcile
    try await journal.reload(onlyLooks: true)
    let open = journal.current.openCommits
    let rules = ReconcileRules(
      absenceIsCertain: manifest.reconcile.absence == .certain,
      settle: manifest.reconcile.settle.seconds
    )
    guard let firstSentAt = open.map(\.startedAt).min() else {
      if hasChangedRequest, let accepted = journal.current.acceptedCommits.last {
        // The plugin asked for another request than the one that was accepted under this name.
        let warning = "The adapter changed its request after it was accepted; nothing was sent again"
        return .end(DeliveryEnd(.sent, remoteID: accepted.remoteID, url: accepted.remoteURL, warnings: [warning]))
      }
      // The missing outcome arrived in the meantime.
      try await journal.reload()
      return nil
    }
    guard let settledAt = rules.settledAt(open) else { return .check(after: 1) }
    guard manifest.answers("post/reconcile") else {
      return .end(unconfirmed("The adapter can not ask this platform"))
    }
    let step: ReconcileStep
    do {
      let answer = try await call(
        "post/reconcile",
        parameters: parameters(evidence: evidence(open)),
        job: "\(task.id)/reconcile"
      )
      let verdict = PluginResult.verdict(answer)
      step = rules.next(
        after: verdict,
        settledAt: settledAt,
        lookupAnsweredAt: journal.lookupSentAt,
        isNew: try await isNew(verdict),
        isRefused: open.allSatisfy(\.isRefusal),
        firstSentAt: firstSentAt,
        checks: job.checks,
        now: Date()
      )
    } catch PluginFailure.jobParked {
      step = .unconfirmed(why: "The adapter crashed more than once when it was asked about this post")
    } catch let failure as PluginFailure {
      step = rules.afterFailedCheck(
        checks: job.checks,
        retryAfter: PluginResult.problem(failure).retryAfter,
        now: Date(),
        age: age
      )
    }
    return try await apply(step)
  }

  /// What the adapter needs to recognise a post: the open commits, and those before them in a thread.
  private func evidence(_ open: [EffectRecord]) -> [EffectRecord] {
    let keys = Set(open.map(\.key))
    return journal.current.records.filter { record in
      keys.contains(record.key) || (record.effectClass == .commit && record.outcome == .accepted)
    }
  }

  private func apply(_ step: ReconcileStep) async throws -> NextMove? {
    switch step {
    case .sent(let remoteID, _) where variant.parts > 1 && journal.current.openCommits.contains(where: \.isLost):
      // One post of the thread is there; of the others the journal lost what it knew.
      return .end(unconfirmed("A post of the thread is out (\(remoteID)); the database lost which others are"))
    case .sent(let remoteID, _) where variant.parts > 1:
      try await tools.store.confirmOpen(task.id, remoteID: remoteID)
      try await journal.reload()
      return nil
    case .sent(let remoteID, let url):
      return .end(DeliveryEnd(.sent, remoteID: remoteID, url: url, confirmsOpen: true))
    case .publishAgain:
      try await tools.store.closeAbsent(task.id)
      try await journal.reload()
      let tries = journal.current.records.filter { $0.effectClass == .commit && $0.key.run == task.run }.count
      guard tries < Self.maximumTries else {
        let problem = DeliveryProblem(
          kind: "platformDown",
          retry: .after,
          message: "The platform gave no clear answer \(tries) times, and each time nothing was published"
        )
        return .end(DeliveryEnd(.failed, problem: problem))
      }
      return nil
    case .lookAgain(let at):
      return .check(after: max(at.timeIntervalSinceNow, 0.05))
    case .unconfirmed(let why):
      return .end(unconfirmed(why))
    }
  }

  private func unconfirmed(_ why: String) -> DeliveryEnd {
    let problem = DeliveryProblem(
      kind: "outcomeUnknown",
      retry: .reconcile,
      message: why,
      userMessage: "Look at the account: if the post is there, confirm it with its address; if not, send it again."
    )
    return withSegments(
      DeliveryEnd(.unconfirmed, remoteID: journal.current.published.first?.remoteID, problem: problem)
    )
  }

  private func isNew(_ verdict: ReconcileVerdict) async throws -> Bool {
    guard case .found(let remoteID, _, _) = verdict else { return true }
    // Nor may it be another post of the same thread.
    if journal.current.acceptedCommits.contains(where: { $0.remoteID == remoteID }) { return false }
    return try await !tools.store.isTaken(remoteID: remoteID, lane: account.laneID, by: task.id)
  }
}
