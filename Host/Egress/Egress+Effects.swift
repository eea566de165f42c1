import HTTPClient
import JSONText
import Logging
import PluginManifest

extension Egress {
  func send(_ call: GatedCall) async -> HTTPAnswer {
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
    let live: LiveSecrets
    let outcome: Outcome
    do throws(EgressError) {
      live = try secrets.get()
      let sendBefore = ticket.sendBefore
      outcome = try await transmit(call) { () throws(EgressError) in
        try dressing(call, live).outgoing(
          timeout: plan.timeout,
          beforeFirstByte: { sendBefore.map { ContinuousClock.now < $0 } ?? true }
        )
      }
    } catch {
      await call.journal.finish(ticket, EffectOutcome(outcome: .notSent, reason: error.message))
      return .refused(error)
    }
    return await finish(call, ticket, outcome, live)
  }

  /// Journals what became of a request before anyone is told.
  func finish(
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
      let answer = answer(response, to: call, secrets)
      let result = EffectOutcome(
        outcome: answer.outcome,
        status: answer.status,
        answer: answer.result,
        remoteID: answer.remoteID,
        remoteURL: answer.remoteID.flatMap { call.plan.rule.remoteURL(of: $0) },
        sentAt: response.sentAt.date,
        lastByteAt: response.lastByteAt.date,
        platformDate: answer.platformDate,
        rateLimit: answer.rateLimit,
        captures: answer.captures
      )
      await call.journal.finish(ticket, result)
      return Self.received(answer)
    }
  }
}
