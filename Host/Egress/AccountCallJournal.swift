import PluginManifest
import Synchronization

/// A journal for calls outside of a delivery: reads and repeatable prepares go out, and what was captured is kept in
/// memory as long as the journal lives.
package final class AccountCallJournal: EffectJournal {
  private let kept = Mutex<[CaptureHandle: CapturedValue]>([:])
  private let tickets = Mutex<Int64>(0)

  package init() {}

  /// Everything captured so far, for whoever stores it with the account.
  package var captures: [CapturedValue] {
    kept.withLock { Array($0.values) }.sorted { $0.handle.description < $1.handle.description }
  }

  package func begin(_ intent: EffectIntent) async throws -> EffectDecision {
    guard intent.effectClass == .prepare, intent.rule.isRepeatable else {
      return .refuse(EgressError(.capabilityDenied, "A request of class \(intent.effectClass) needs a delivery"))
    }
    let number = tickets.withLock { number in
      number += 1
      return number
    }
    return .send(EffectTicket(number: number, sendBefore: nil))
  }

  package func finish(_ ticket: EffectTicket, _ outcome: EffectOutcome) async {
    keep(outcome.captures)
  }

  package func replayRead(step: String, digest: String) async -> StoredAnswer? { nil }

  package func recordRead(_ record: ReadRecord) async {
    keep(record.captures)
  }

  package func captured(_ handle: CaptureHandle) async throws -> CapturedValue? {
    kept.withLock { $0[handle] }
  }

  private func keep(_ captures: [CapturedValue]) {
    kept.withLock { kept in for capture in captures { kept[capture.handle] = capture } }
  }
}
