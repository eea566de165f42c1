import Cryptography
import PluginManifest

/// The secrets of one request, fetched before it is journaled.
struct LiveSecrets: Sendable {
  private let byName: [String: Secret]
  /// Every secret that must not stand in the answer: those of the account, and the captures that are used.
  let all: [Secret]

  init(_ byName: [String: Secret], others: [Secret] = []) {
    self.byName = byName
    all = Array(byName.values) + others
  }

  func value(_ name: String) throws(EgressError) -> Secret {
    guard let secret = byName[name] else { throw EgressError(.internal, "a secret of the rule is missing") }
    return secret
  }

  /// Whether all of these are at hand.
  func has(_ names: Set<String>) -> Bool {
    names.allSatisfy { byName[$0] != nil }
  }
}
