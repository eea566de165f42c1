import Egress
import FoundationEssentials
import PluginManifest
import PluginProtocol

/// Deliveries of which the database lost what was written last: they may be out without a trace.
extension DeliverySession {
  /// Where the platform knows our key for everything that publishes, what was lost may simply be sent again.
  func closeLost() async throws {
    let open = journal.current.openCommits
    guard !open.isEmpty, open.allSatisfy(\.isLost), !isOtherVersion, !commitRules.isEmpty else { return }
    let isSafe = open.allSatisfy { record in
      commitRules.allSatisfy { rule in
        guard let window = EffectRule(rule).safeIdempotencyWindow else { return false }
        return Date().timeIntervalSince(record.startedAt) < window
      }
    }
    guard isSafe else { return }
    try await tools.store.closeAbsent(task.id)
    try await journal.reload()
  }

  /// What the adapter is told of the open commits. Of one that left no trace nothing is known, so it may have been any
  /// request that publishes.
  func lines(_ records: [EffectRecord]) -> [Evidence] {
    records.flatMap { record -> [Evidence] in
      guard record.isLost else { return [record.evidence] }
      return commitRules.map { rule in
        var line = record.evidence
        line.rule = rule.name
        return line
      }
    }
  }

  private var commitRules: [EgressRule] {
    manifest.rules.values.filter { $0.effectClass == .commit }.sorted { $0.name < $1.name }
  }
}
