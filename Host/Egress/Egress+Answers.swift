import HTTPClient
import Logging
import PluginManifest

extension Egress {
  /// What an adapter may see of a response, which came from `target` if redirects led elsewhere than the plan says.
  func answer(
    _ response: Response,
    from target: TargetURL? = nil,
    to call: GatedCall,
    _ secrets: LiveSecrets
  ) -> ReadResponse {
    let answer = ReadResponse(
      response,
      rule: call.plan.rule,
      manifest: call.manifest,
      reader: call.reader(policy, from: target),
      redactor: Redactor(secrets.all)
    )
    Self.warn(answer.redactions, call)
    return answer
  }

  static func received(_ answer: ReadResponse) -> HTTPAnswer {
    HTTPAnswer(
      .result(answer.result),
      status: answer.status,
      rateLimit: answer.rateLimit,
      redactions: answer.redactions
    )
  }

  static func replayed(_ stored: StoredAnswer) -> HTTPAnswer {
    switch stored {
    case .result(let result): HTTPAnswer(.result(result), isReplay: true)
    case .notSent:
      HTTPAnswer(.error(EgressError(.upstreamUnreachable, "not sent in this attempt")), isReplay: true)
    }
  }

  static func error(_ notSent: Outcome.NotSent) -> EgressError {
    switch notSent.reason {
    case .addressDenied: EgressError(.ssrfBlocked, "the address is not a public one and the operator does not allow it")
    case .guardRefused: EgressError(.cancelled, "the lease ended before the first byte; nothing was sent")
    case .shuttingDown: EgressError(.draining, "the host is shutting down; nothing was sent")
    case .invalidRequest, .bodyUnreadable, .libraryFailure: EgressError(.internal, "not sent: \(notSent.detail)")
    case .resolveFailed, .connectFailed, .tlsFailed, .timeout:
      EgressError(.upstreamUnreachable, "not sent: \(notSent.detail)")
    }
  }

  /// The alarm of the second line of defence: somewhere a secret came back.
  static func warn(_ redactions: Int, _ call: GatedCall) {
    guard redactions > 0 else { return }
    Logger.current.warning(
      "A platform's answer held a secret, which was taken out",
      [
        "plugin": LogValue(call.scope.pluginID), "rule": LogValue(call.plan.rule.name), "found": LogValue(redactions),
        "connection": .int(call.scope.connection),
      ]
    )
  }
}
