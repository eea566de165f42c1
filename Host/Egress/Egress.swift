import Cryptography
package import FoundationEssentials
package import HTTPClient
package import JSONText
import Logging
package import PluginManifest

/// The gate for every outside request: checks it against the manifest, journals it, adds what is secret, sends it, and
/// takes the secrets out of the answer.
package final class Egress: Sendable {
  private let client: HTTPClient
  private let policy: AddressPolicy
  private let registry = CallRegistry()
  private let now: @Sendable () -> Date

  /// Makes a gate over one HTTP client.
  ///
  /// - Parameter now: The wall clock that stamps signatures.
  package init(client: HTTPClient, policy: AddressPolicy, now: @escaping @Sendable () -> Date = { Date() }) {
    self.client = client
    self.policy = policy
    self.now = now
  }

  /// Performs one `host/http` request of a plugin call.
  ///
  /// Requests of class `prepare`, `commit` and `billed` run to their own timeout even if the calling task is cancelled
  /// and the deadline passes: once begun, their outcome is always journaled.
  ///
  /// - Parameters:
  ///   - params: The parameters of the request as the plugin sent them.
  ///   - method: The method that the plugin is answering, such as `post/publish`.
  ///   - deadline: End of the plugin call. Nothing is begun after it, and reads end with it.
  package func perform(
    _ params: RawJSON,
    method: String,
    manifest: PluginManifest,
    scope: EgressScope,
    secrets: any SecretSource,
    journal: any EffectJournal,
    media: any MediaSource,
    deadline: ContinuousClock.Instant
  ) async -> HTTPAnswer {
    let plan: RequestPlan
    do throws(EgressError) {
      plan = try await makePlan(params, method: method, manifest: manifest, scope: scope, media: media)
    } catch {
      return .refused(error)
    }
    guard ContinuousClock.now < deadline else {
      return .refused(EgressError(.deadlineExceeded, "the call's deadline has passed; nothing was sent"))
    }
    let call = GatedCall(
      plan: plan,
      scope: scope,
      limits: manifest.rateLimitHeaders,
      secrets: secrets,
      journal: journal,
      deadline: deadline
    )
    let key = CallRegistry.Key(connection: scope.connection, requestKey: scope.requestKey)
    switch await registry.enter(key, step: plan.step, digest: plan.digest) {
    case .joined(let answer): return answer
    case .conflict:
      return .refused(
        EgressError(.invalidParams, "this step is on the way with other content; name another step", field: "step")
      )
    case .first: break
    }
    guard plan.effectClass != .read else {
      var answer = await read(call)
      answer.rule = plan.rule.name
      registry.leave(key, step: plan.step, answer)
      return answer
    }
    // A task of its own, because cancelling the caller must not cut a begun request from its journal.
    return await Task {
      let isCommit = plan.effectClass == .commit
      if isCommit { await registry.openCommit(key) }
      var answer = await send(call)
      answer.rule = plan.rule.name
      if isCommit { registry.closeCommit(key) }
      registry.leave(key, step: plan.step, answer)
      return answer
    }.value
  }

  /// Number of deliveries that have a request on the way.
  package var openDeliveries: Int { registry.count }

  // MARK: Planning

  private func makePlan(
    _ params: RawJSON,
    method: String,
    manifest: PluginManifest,
    scope: EgressScope,
    media: any MediaSource
  ) async throws(EgressError) -> RequestPlan {
    let parameters = try HTTPCallParameters(params)
    guard let rule = manifest.rule(parameters.rule) else {
      throw EgressError(.capabilityDenied, "the manifest has no such rule", field: "rule")
    }
    guard rule.allows(callingMethod: method) else {
      throw EgressError(.capabilityDenied, "the rule may not be used by \(method)", field: "rule")
    }
    var files: [String: MediaFile] = [:]
    for handle in parameters.handles {
      do {
        files[handle] = try await media.media(handle)
      } catch let error as EgressError {
        throw error
      } catch {
        throw EgressError(.internal, "the media cannot be read now")
      }
    }
    let plan = try RequestPlan(parameters, rule: rule, scope: scope, media: files)
    if let objection = policy.objection(to: policy.resolved(plan.target)) {
      throw EgressError(.ssrfBlocked, objection)
    }
    return plan
  }

  private func liveSecrets(_ call: GatedCall) async -> Result<LiveSecrets, EgressError> {
    var found: [String: Secret] = [:]
    for name in LiveSecrets.names(call.plan.rule) {
      do {
        found[name] = try await call.secrets.secret(name, for: call.scope)
      } catch let error as EgressError {
        return .failure(error)
      } catch {
        return .failure(EgressError(.internal, "a secret of the account cannot be read now"))
      }
    }
    return .success(LiveSecrets(found))
  }

  // MARK: Reads

  private func read(_ call: GatedCall) async -> HTTPAnswer {
    let plan = call.plan
    if let stored = await call.journal.replayRead(step: plan.step, digest: plan.digest) {
      return Self.replayed(stored)
    }
    if Task.isCancelled { return .refused(EgressError(.cancelled, "the call was cancelled; nothing was sent")) }
    let secrets: LiveSecrets
    switch await liveSecrets(call) {
    case .success(let live): secrets = live
    case .failure(let error): return .refused(error)
    }
    let left = ContinuousClock.now.duration(to: call.deadline)
    guard left > .zero else {
      return .refused(EgressError(.deadlineExceeded, "the call's deadline has passed; nothing was sent"))
    }
    let request: OutgoingRequest
    do throws(EgressError) {
      request = try dressing(call, secrets).outgoing(timeout: min(plan.timeout, left), beforeFirstByte: { true })
    } catch {
      return .refused(error)
    }
    switch await client.perform(request) {
    case .notSent(let reason): return .refused(Self.error(reason))
    case .unknown(let reason):
      if reason.reason == .responseTooLarge {
        return .refused(EgressError(.responseTooLarge, "the answer is far larger than the rule's maxBody"))
      }
      return .refused(EgressError(.upstreamTimeout, "no complete answer: \(reason.detail)"))
    case .response(let response):
      let answer = ReadResponse(response, rule: plan.rule, limits: call.limits, redactor: Redactor(secrets.all))
      Self.warn(answer, call)
      await call.journal.recordRead(
        ReadRecord(
          step: plan.step,
          rule: plan.rule.name,
          digest: plan.digest,
          status: answer.status,
          answer: answer.result,
          sentAt: response.sentAt.date,
          lastByteAt: response.lastByteAt.date,
          platformDate: answer.platformDate,
          isLookup: plan.rule.isLookup
        )
      )
      return Self.received(answer)
    }
  }

  // MARK: Effects

  private func send(_ call: GatedCall) async -> HTTPAnswer {
    let plan = call.plan
    let secrets = await liveSecrets(call)
    guard ContinuousClock.now < call.deadline else {
      return .refused(EgressError(.deadlineExceeded, "the call's deadline has passed; nothing was sent"))
    }
    let intent = EffectIntent(step: plan.step, rule: plan.rule, effectClass: plan.effectClass, digest: plan.digest)
    let ticket: EffectTicket
    do {
      switch try await call.journal.begin(intent) {
      case .send(let given): ticket = given
      case .replay(let stored): return Self.replayed(stored)
      case .refuse(let error): return .refused(error)
      case .reconcile:
        return .refused(EgressError(.outcomeUnknown, "an earlier try of this step may have happened"))
      }
    } catch let error as EgressError {
      return .refused(error)
    } catch {
      Logger.current.error("An effect could not be journaled", ["rule": LogValue(plan.rule.name)])
      return .refused(EgressError(.internal, "the request could not be journaled; nothing was sent"))
    }
    let request: OutgoingRequest
    let live: LiveSecrets
    do throws(EgressError) {
      live = try secrets.get()
      let sendBefore = ticket.sendBefore
      request = try dressing(call, live).outgoing(
        timeout: plan.timeout,
        beforeFirstByte: { sendBefore.map { ContinuousClock.now < $0 } ?? true }
      )
    } catch {
      await call.journal.finish(ticket, EffectOutcome(outcome: .notSent, reason: error.message))
      return .refused(error)
    }
    return await finish(call, ticket, await client.perform(request), live)
  }

  /// Journals what became of a request before anyone is told.
  private func finish(
    _ call: GatedCall,
    _ ticket: EffectTicket,
    _ outcome: Outcome,
    _ secrets: LiveSecrets
  ) async -> HTTPAnswer {
    switch outcome {
    case .notSent(let reason):
      await call.journal.finish(ticket, EffectOutcome(outcome: .notSent, reason: reason.detail))
      return .refused(Self.error(reason))
    case .unknown(let reason):
      let result = EffectOutcome(
        outcome: .unknown,
        status: nil,
        sentAt: reason.sentAt.date,
        lastByteAt: reason.lastByteAt.date,
        reason: reason.detail
      )
      await call.journal.finish(ticket, result)
      return .refused(EgressError(.outcomeUnknown, "sent, but no complete answer: \(reason.detail)"))
    case .response(let response):
      let answer = ReadResponse(
        response,
        rule: call.plan.rule,
        limits: call.limits,
        redactor: Redactor(secrets.all)
      )
      Self.warn(answer, call)
      let result = EffectOutcome(
        outcome: answer.outcome,
        status: answer.status,
        answer: answer.result,
        remoteID: answer.remoteID,
        sentAt: response.sentAt.date,
        lastByteAt: response.lastByteAt.date,
        platformDate: answer.platformDate,
        rateLimit: answer.rateLimit
      )
      await call.journal.finish(ticket, result)
      return Self.received(answer)
    }
  }

  private func dressing(_ call: GatedCall, _ secrets: LiveSecrets) -> RequestDressing {
    RequestDressing(plan: call.plan, scope: call.scope, policy: policy, secrets: secrets, now: now())
  }

  // MARK: Answers

  private static func received(_ answer: ReadResponse) -> HTTPAnswer {
    HTTPAnswer(
      .result(answer.result),
      status: answer.status,
      rateLimit: answer.rateLimit,
      redactions: answer.redactions
    )
  }

  private static func replayed(_ stored: StoredAnswer) -> HTTPAnswer {
    switch stored {
    case .result(let result): HTTPAnswer(.result(result), isReplay: true)
    case .notSent:
      HTTPAnswer(.error(EgressError(.upstreamUnreachable, "not sent in this attempt")), isReplay: true)
    }
  }

  private static func error(_ notSent: Outcome.NotSent) -> EgressError {
    switch notSent.reason {
    case .addressDenied: EgressError(.ssrfBlocked, "the address is not a public one and the operator does not allow it")
    case .guardRefused: EgressError(.cancelled, "the lease ended before the first byte; nothing was sent")
    case .shuttingDown: EgressError(.draining, "the host is shutting down; nothing was sent")
    case .invalidRequest, .bodyUnreadable, .libraryFailure: EgressError(.internal, "not sent: \(notSent.detail)")
    case .resolveFailed, .connectFailed, .tlsFailed, .timeout:
      EgressError(.upstreamUnreachable, "not sent: \(notSent.detail)")
    }
  }

  private static func warn(_ answer: ReadResponse, _ call: GatedCall) {
    guard answer.redactions > 0 else { return }
    Logger.current.warning(
      "A platform's answer held a secret, which was taken out",
      [
        "plugin": LogValue(call.scope.pluginID), "rule": LogValue(call.plan.rule.name),
        "found": LogValue(answer.redactions),
      ]
    )
  }
}

/// One request with everything that decides about it.
private struct GatedCall: Sendable {
  let plan: RequestPlan
  let scope: EgressScope
  let limits: RateLimitHeaders?
  let secrets: any SecretSource
  let journal: any EffectJournal
  let deadline: ContinuousClock.Instant
}
