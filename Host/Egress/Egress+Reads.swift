import HTTPClient
import JSONText
import PluginManifest

extension Egress {
  func read(_ call: GatedCall) async -> HTTPAnswer {
    let plan = call.plan
    if let stored = await call.journal.replayRead(step: plan.step, digest: plan.digest) {
      return Self.replayed(stored)
    }
    if Task.isCancelled { return .refused(EgressError(.cancelled, "the call was cancelled; nothing was sent")) }
    do throws(EgressError) {
      let secrets = try await liveSecrets(call).get()
      let (response, target) = try await follow(call, secrets)
      let answer = answer(response, from: target, to: call, secrets)
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
          isLookup: plan.rule.isLookup,
          captures: answer.captures
        )
      )
      return Self.received(answer)
    } catch {
      return .refused(error)
    }
  }

  /// Sends a read and whatever its redirects lead to; returns the last answer and where it came from.
  private func follow(
    _ call: GatedCall,
    _ secrets: LiveSecrets
  ) async throws(EgressError) -> (Response, TargetURL) {
    let plan = call.plan
    let redirects = RedirectPolicy(
      rule: plan.rule,
      manifest: call.manifest,
      callingMethod: call.method,
      policy: policy,
      origin: plan.target.origin
    )
    let end = ContinuousClock.now + plan.timeout
    var hop = RedirectPolicy.Hop(method: plan.rule.method, target: plan.target, keepsSecrets: true, keepsBody: true)
    var hops = 0
    while true {
      let left = ContinuousClock.now.duration(to: min(end, call.deadline))
      guard left > .zero else {
        let what = hops == 0 ? "nothing was sent" : "the redirects took too long"
        throw EgressError(.deadlineExceeded, "the call's deadline has passed; \(what)")
      }
      let current = hops == 0 ? nil : hop
      let outcome = try await transmit(call) { () throws(EgressError) in
        try dressing(call, secrets, hop: current).outgoing(timeout: left, beforeFirstByte: { true })
      }
      switch outcome {
      case .notSent(let reason): throw Self.error(reason)
      case .unknown(let reason):
        if reason.reason == .responseTooLarge {
          throw EgressError(.responseTooLarge, "the answer is far larger than the rule's maxBody")
        }
        throw EgressError(.upstreamTimeout, "no complete answer: \(reason.detail)")
      case .response(let response):
        switch redirects.decide(
          status: response.status,
          location: response.headers["location"],
          after: hop,
          hops: hops
        ) {
        case .deliver: return (response, hop.target)
        case .refuse(let error): throw error
        case .follow(let next): hop = next
        }
        hops += 1
      }
    }
  }
}
