import Cryptography
package import FoundationEssentials
package import HTTPClient
package import JSONText
package import PluginManifest

/// The gate for every outside request: checks it against the manifest, journals it, adds what is secret, sends it, and
/// takes the secrets out of the answer.
package final class Egress: Sendable {
  let client: HTTPClient
  let policy: AddressPolicy
  let nonces = NonceStore()
  let now: @Sendable () -> Date
  private let registry = CallRegistry()
  private let gate = RateGate()

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
  ///   - budget: What the plugin call has left; nil does not count.
  package func perform(
    _ params: RawJSON,
    method: String,
    manifest: PluginManifest,
    scope: EgressScope,
    secrets: any SecretSource,
    journal: any EffectJournal,
    media: any MediaSource,
    deadline: ContinuousClock.Instant,
    budget: CallBudget? = nil
  ) async -> HTTPAnswer {
    let call: GatedCall
    do throws(EgressError) {
      call = try await admit(
        params,
        method: method,
        manifest: manifest,
        scope: scope,
        secrets: secrets,
        journal: journal,
        media: media,
        deadline: deadline,
        budget: budget
      )
    } catch {
      return .refused(error)
    }
    let plan = call.plan
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

  /// Which servers requests may go to.
  package var addressPolicy: AddressPolicy { policy }

  /// Number of deliveries that have a request on the way.
  package var openDeliveries: Int { registry.count }

  // MARK: Planning

  /// Judges a request; what is returned may be sent.
  ///
  /// - Parameter isStream: Whether the answer is to be passed on piece by piece.
  func admit(
    _ params: RawJSON,
    method: String,
    manifest: PluginManifest,
    scope: EgressScope,
    secrets: any SecretSource,
    journal: any EffectJournal,
    media: any MediaSource,
    deadline: ContinuousClock.Instant,
    budget: CallBudget?,
    isStream: Bool = false
  ) async throws(EgressError) -> GatedCall {
    guard budget?.take() ?? true else {
      throw EgressError(.egressDenied, "one call may make \(CallBudget.limit) requests")
    }
    if let wait = gate.take(scope) {
      throw EgressError(.overloaded, "too many requests of this plugin or account", retryAfter: wait)
    }
    let parameters = try HTTPCallParameters(params, isStream: isStream)
    guard let rule = manifest.rule(parameters.rule) else {
      throw EgressError(.capabilityDenied, "the manifest has no such rule", field: "rule")
    }
    guard rule.allows(callingMethod: method) else {
      throw EgressError(.capabilityDenied, "the rule may not be used by \(method)", field: "rule")
    }
    guard (rule.stream != nil) == isStream else {
      throw EgressError(.capabilityDenied, "the rule is \(isStream ? "not " : "")one for host/http.open", field: "rule")
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
    let captures = try await captures(parameters, rule, journal)
    let plan = try RequestPlan(parameters, rule: rule, scope: scope, media: files, captures: captures)
    if let objection = policy.objection(to: policy.resolved(plan.target)) {
      throw EgressError(.ssrfBlocked, objection)
    }
    guard ContinuousClock.now < deadline else {
      throw EgressError(.deadlineExceeded, "the call's deadline has passed; nothing was sent")
    }
    return GatedCall(
      plan: plan,
      scope: scope,
      method: method,
      manifest: manifest,
      secrets: secrets,
      journal: journal,
      deadline: deadline
    )
  }

  /// Finds what the request uses of earlier answers.
  private func captures(
    _ parameters: HTTPCallParameters,
    _ rule: EgressRule,
    _ journal: any EffectJournal
  ) async throws(EgressError) -> [String: CapturedValue] {
    var found: [String: CapturedValue] = [:]
    for field in parameters.captures where !rule.neededCaptures.contains(field.name) {
      throw EgressError(
        .egressDenied,
        "the rule uses no such capture",
        field: "captures.\(HTTPCallParameters.shown(field.name))"
      )
    }
    for name in rule.neededCaptures.sorted() {
      let place = "captures.\(name)"
      guard let field = parameters.captures.first(where: { $0.name == name }) else {
        throw EgressError(.invalidParams, "missing", field: place)
      }
      guard let handle = CaptureHandle(field.value), handle.isCapture(of: name) else {
        throw EgressError(.invalidParams, "allowed: a handle capture:<step>/\(name)", field: place)
      }
      let value: CapturedValue?
      do {
        value = try await journal.captured(handle)
      } catch let error as EgressError {
        throw error
      } catch {
        throw EgressError(.internal, "a captured value cannot be read now")
      }
      guard let value else {
        throw EgressError(
          .prepareExpired,
          "nothing is kept of what step \(handle.step) captured; it has to be done again",
          field: place,
          steps: [handle.step]
        )
      }
      found[name] = value
    }
    return found
  }

  /// Fetches what the request needs, and what must not stand in its answer.
  func liveSecrets(_ call: GatedCall) async -> Result<LiveSecrets, EgressError> {
    let rule = call.plan.rule
    var found: [String: Secret] = [:]
    do {
      for name in rule.secretNames {
        do {
          let secret = try await call.secrets.secret(name, for: call.scope)
          guard !secret.isEmpty else {
            throw EgressError(.authExpired, "the account's \u{201C}\(name)\u{201D} is empty")
          }
          found[name] = secret
        } catch let error as EgressError where error.kind == .authExpired && rule.authorization == .optional {
          continue
        }
      }
      let others = try await call.secrets.all(for: call.scope).filter { secret in !found.values.contains(secret) }
      return .success(LiveSecrets(found, others: others + call.plan.captures.values.map(\.value)))
    } catch let error as EgressError {
      return .failure(error)
    } catch {
      return .failure(EgressError(.internal, "a secret of the account cannot be read now"))
    }
  }

  func dressing(_ call: GatedCall, _ secrets: LiveSecrets, hop: RedirectPolicy.Hop? = nil) -> RequestDressing {
    RequestDressing(
      plan: call.plan,
      scope: call.scope,
      policy: policy,
      secrets: secrets,
      now: now(),
      hop: hop,
      nonce: nonces.nonce(nonceKey(call))
    )
  }

  func nonceKey(_ call: GatedCall) -> NonceStore.Key {
    NonceStore.Key(origin: call.plan.target.origin, connection: call.scope.connection)
  }

  /// Sends a request; one that a server refuses only for its nonce is sent once more with the nonce.
  ///
  /// That is safe for every class, because the first one was answered completely, with a refusal.
  func transmit(
    _ call: GatedCall,
    _ make: () throws(EgressError) -> OutgoingRequest
  ) async throws(EgressError) -> Outcome {
    let first = await client.perform(try make())
    guard case .dpop? = call.plan.rule.signer, case .response(let response) = first else { return first }
    nonces.note(response.headers, nonceKey(call))
    guard ProofOfPossession.wantsNonce(response) else { return first }
    let second = await client.perform(try make())
    if case .response(let response) = second { nonces.note(response.headers, nonceKey(call)) }
    return second
  }
}
