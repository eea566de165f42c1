import FoundationEssentials
import HTTPClient
import PluginManifest

/// One request with everything that decides about it.
struct GatedCall: Sendable {
  let plan: RequestPlan
  let scope: EgressScope
  let method: String
  let manifest: PluginManifest
  let secrets: any SecretSource
  let journal: any EffectJournal
  let deadline: ContinuousClock.Instant

  /// Reads answers that came from `target`.
  func reader(_ policy: AddressPolicy, from target: TargetURL? = nil) -> CaptureReader {
    CaptureReader(rule: plan.rule, step: plan.step, target: target ?? plan.target, policy: policy)
  }
}

/// How many requests one call of a plugin may still make.
package final class CallBudget: Sendable {
  /// Requests of one call.
  package static let limit = 64

  private let left: Counter

  package init(_ limit: Int = CallBudget.limit) {
    left = Counter(limit)
  }

  /// Takes one request; false when there is none left.
  func take() -> Bool { left.take() }

  /// Takes a request back that was not sent.
  func giveBack() { left.giveBack() }
}
