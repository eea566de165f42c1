import FoundationEssentials
import HTTPClient
import JSONText
import Logging
import PluginManifest

extension Egress {
  /// Opens a stream by `host/http.open`.
  ///
  /// The answer comes with the header of the platform's answer. An answer that holds no events is given like that of
  /// `host/http`, without a stream.
  func open(
    _ params: RawJSON,
    as id: String,
    _ desk: EgressDesk.Call,
    budget: CallBudget,
    send: @escaping @Sendable (RawJSON) -> Void
  ) async -> (HTTPAnswer, EventStream?) {
    do throws(EgressError) {
      let call = try await admit(
        params,
        method: desk.method,
        manifest: desk.manifest,
        scope: desk.scope,
        secrets: desk.secrets,
        journal: desk.journal,
        media: desk.media,
        deadline: desk.deadline,
        budget: budget,
        isStream: true
      )
      return try await open(call, as: id, send)
    } catch {
      return (.refused(error), nil)
    }
  }

  private func open(
    _ call: GatedCall,
    as id: String,
    _ send: @escaping @Sendable (RawJSON) -> Void
  ) async throws(EgressError) -> (HTTPAnswer, EventStream?) {
    let plan = call.plan
    let secrets = try await liveSecrets(call).get()
    let ticket = plan.effectClass == .read ? nil : try await ticket(call)
    let stream = EventStream(id: id, rule: plan.rule, redactor: Redactor(secrets.all), send: send)
    let request: OutgoingRequest
    do throws(EgressError) {
      let sendBefore = ticket?.sendBefore
      request = try dressing(call, secrets).outgoing(
        timeout: min(plan.timeout, ContinuousClock.now.duration(to: call.deadline)),
        receiver: stream,
        silence: Self.silence,
        beforeFirstByte: { sendBefore.map { ContinuousClock.now < $0 } ?? true }
      )
    } catch {
      if let ticket { await call.journal.finish(ticket, EffectOutcome(outcome: .notSent, reason: error.message)) }
      throw error
    }
    // A task of its own: the stream outlives this request of the plugin, and its end is journaled whatever happens.
    let transfer = Task { () -> HTTPAnswer in
      let outcome = await client.perform(request)
      return await end(call, ticket, stream, outcome, secrets)
    }
    switch await stream.opening() {
    case .plain: return (await transfer.value, nil)
    case .streaming(let status, let headers):
      let redactor = Redactor(secrets.all)
      let result = RawJSON.object { writer in
        writer.field("stream", id)
        writer.field("status", status)
        writer.object("headers") { writer in
          for name in plan.rule.exposedHeaders {
            guard let value = headers[name] else { continue }
            writer.field(name, redactor.redact(value).text)
          }
        }
      }
      return (HTTPAnswer(.result(result), rule: plan.rule.name, status: status), stream)
    }
  }

  /// The longest silence of a platform in the middle of a stream.
  private static let silence: Duration = .seconds(120)

  private func ticket(_ call: GatedCall) async throws(EgressError) -> EffectTicket {
    let plan = call.plan
    let intent = EffectIntent(step: plan.step, rule: plan.rule, effectClass: plan.effectClass, digest: plan.digest)
    let decision: EffectDecision
    do {
      decision = try await call.journal.begin(intent)
    } catch let error as EgressError {
      throw error
    } catch {
      Logger.current.error("An effect could not be journaled", ["rule": LogValue(plan.rule.name)])
      throw EgressError(.internal, "the request could not be journaled; nothing was sent")
    }
    switch decision {
    case .send(let ticket): return ticket
    case .refuse(let error): throw error
    // What a stream brought is not kept, and it was paid for.
    case .replay, .reconcile: throw EgressError(.outcomeUnknown, "this stream was opened before; it is not repeated")
    }
  }

  /// Journals how a stream ended; the answer is for the plugin only if there were no events.
  private func end(
    _ call: GatedCall,
    _ ticket: EffectTicket?,
    _ stream: EventStream,
    _ outcome: Outcome,
    _ secrets: LiveSecrets
  ) async -> HTTPAnswer {
    guard let summary = stream.finish(outcome) else {
      if let ticket { return await finish(call, ticket, outcome, secrets) }
      return plain(call, outcome, secrets)
    }
    Self.warn(stream.redactions, call)
    guard let ticket else { return HTTPAnswer(.result(summary)) }
    let result: EffectOutcome
    switch outcome {
    case .response(let response):
      result = EffectOutcome(
        outcome: .accepted,
        status: response.status,
        answer: summary,
        sentAt: response.sentAt.date,
        lastByteAt: response.lastByteAt.date
      )
    case .unknown(let unknown):
      // The header was a success and events came, so it has happened, however it ended.
      result = EffectOutcome(
        outcome: .accepted,
        status: unknown.status,
        answer: summary,
        sentAt: unknown.sentAt.date,
        lastByteAt: unknown.lastByteAt.date,
        reason: unknown.detail
      )
    case .notSent(let reason): result = EffectOutcome(outcome: .notSent, reason: reason.detail)
    }
    await call.journal.finish(ticket, result)
    return HTTPAnswer(.result(summary))
  }

  private func plain(_ call: GatedCall, _ outcome: Outcome, _ secrets: LiveSecrets) -> HTTPAnswer {
    switch outcome {
    case .notSent(let reason): return .refused(Self.error(reason))
    case .unknown(let reason):
      return .refused(EgressError(.upstreamTimeout, "no complete answer: \(reason.detail)"))
    case .response(let response):
      let answer = answer(response, to: call, secrets)
      return Self.received(answer)
    }
  }
}
