import HTTPClient
import PluginManifest

/// Decides whether the host follows a redirect: the same checks as for a request of the plugin, once more.
struct RedirectPolicy: Sendable {
  /// The most redirects that are followed for one request.
  static let maximumHops = 5

  /// One request of a chain.
  struct Hop: Sendable, Equatable {
    let method: String
    /// Before the operator's overrides; with the query that the server gave.
    let target: TargetURL
    /// Whether slots are filled.
    let keepsSecrets: Bool
    let keepsBody: Bool
  }

  enum Decision: Sendable, Equatable {
    /// The plugin gets this answer.
    case deliver
    case follow(Hop)
    case refuse(EgressError)
  }

  let rule: EgressRule
  let manifest: PluginManifest
  let callingMethod: String
  let policy: AddressPolicy
  /// Scheme, host and port that the rule names.
  let origin: String

  /// Judges an answer with this status and `Location`.
  func decide(status: Int, location: String?, after current: Hop, hops: Int) -> Decision {
    guard case .follow(let others) = rule.redirects, [301, 302, 303, 307, 308].contains(status), let location else {
      return .deliver
    }
    guard hops < Self.maximumHops else { return refuse("more than \(Self.maximumHops) redirects") }
    let target: TargetURL
    do {
      let pointed = try current.target.resolving(location)
      target = policy.original(of: pointed) { $0.origin == origin || others.contains($0.origin) }
    } catch {
      return refuse("a redirect whose address \(error.description)")
    }
    guard target.scheme == .https || current.target.scheme == .http else {
      return refuse("a redirect from https to http")
    }
    let becomesGet = current.method != "HEAD" && (status == 303 || (current.method == "POST" && status <= 302))
    let method = becomesGet ? "GET" : current.method
    var keepsSecrets = current.keepsSecrets && target.origin == current.target.origin
    if target.origin == origin {
      guard let match = ruleFor(method, target) else {
        return refuse("a redirect to a path that no rule of this call allows")
      }
      keepsSecrets = keepsSecrets && match.slots == rule.slots
    } else {
      guard others.contains(target.origin) else { return refuse("a redirect to a host that the rule does not name") }
      keepsSecrets = false
    }
    if let objection = policy.objection(to: policy.resolved(target)) {
      return .refuse(EgressError(.ssrfBlocked, "a redirect: \(objection)"))
    }
    return .follow(
      Hop(
        method: method,
        target: target,
        keepsSecrets: keepsSecrets,
        keepsBody: current.keepsBody && !becomesGet && target.origin == current.target.origin
      )
    )
  }

  /// The rule by which the plugin could have asked for this itself; its own rule first.
  private func ruleFor(_ method: String, _ target: TargetURL) -> EgressRule? {
    let readable = [rule] + manifest.rules.values.sorted { $0.name < $1.name }
    return readable.first { candidate in
      candidate.effectClass == .read && candidate.allows(callingMethod: callingMethod)
        && (candidate.method == method || candidate == rule) && candidate.origin == rule.origin
        && candidate.path?.matches(target.path) == true
        && !candidate.slots.contains { if case .path = $0.place { true } else { false } }
    }
  }

  private func refuse(_ what: String) -> Decision {
    .refuse(EgressError(.egressDenied, "the platform answered with \(what)"))
  }
}
