internal import JSONDocument
package import Outbox

/// What each event means for the notices. A table of pure functions: to add a rule, add a line.
package enum NoticeRules {
  /// What a rule sees of an event.
  private struct Facts {
    let site: Int64?
    let subject: Int64
    let data: JSONValue

    func key(_ cause: String) -> NoticeKey { NoticeKey(site: site, cause: cause) }

    func text(_ pointer: String) -> String? {
      data.pointer(pointer)?.stringValue.map { String($0.prefix(500)) }
    }

    func number(_ name: String) -> Int64? { data[name]?.int64Value }
  }

  /// Deliveries of one account that fail within an hour, none of them succeeding, before somebody is told.
  package static let failureThreshold = 5

  /// The changes that follow from an event; none for most.
  package static func changes(for event: OutboxEvent) -> [NoticeChange] {
    guard let rule = rules[event.kind] else { return [] }
    // What is no JSON has no members; the rule says what it can.
    let data = (try? JSONValue.parse(Array(event.data.utf8))) ?? [:]
    let site = event.site == OutboxEvent.hostSite ? nil : event.site
    return rule(Facts(site: site, subject: event.subject, data: data))
  }

  private static let rules: [String: @Sendable (Facts) -> [NoticeChange]] = [
    "delivery.sent": { works($0) },
    "delivery.partial": { answered($0) },
    "delivery.canceled": { answered($0) },
    "delivery.failed": { answered($0) + fails($0) },
    "delivery.unconfirmed": { [unconfirmed($0)] },

    "connection.expired": { connectionExpired($0) },
    "connection.active": { connectionWorks($0) },
    "connection.revoked": { connectionWorks($0) + connectionIsGone($0) },

    "plugin.quarantined": {
      plugin($0, "quarantined", .critical, "The plugin {plugin} does not work and was shut out")
    },
    "plugin.failed": { plugin($0, "failed", .warning, "A new version of {plugin} failed; the one before works") },
    "plugin.waiting": { plugin($0, "waiting", .info, "A version of {plugin} waits for your approval") },
    "plugin.released": { clear($0, ["quarantined"]) },
    "plugin.refused": { clear($0, ["waiting"]) },
    "plugin.installed": { clear($0, ["quarantined", "failed", "waiting"]) },
    "plugin.upgraded": { clear($0, ["quarantined", "failed", "waiting"]) },
    "plugin.rolledBack": { clear($0, ["quarantined"]) },
    "plugin.removed": { clear($0, ["quarantined", "failed", "waiting"]) },

    "webhook.disabled": { webhookDisabled($0) },
    "webhook.enabled": { [.clear($0.key("webhook:\($0.subject):disabled"))] },
    "webhook.removed": { [.clear($0.key("webhook:\($0.subject):disabled"))] },
  ]

  // MARK: Deliveries

  private static func works(_ facts: Facts) -> [NoticeChange] {
    answered(facts) + (facts.number("connectionId").map { [.clear(facts.key(failing($0)))] } ?? [])
  }

  /// It is known what became of the delivery.
  private static func answered(_ facts: Facts) -> [NoticeChange] {
    [.clear(facts.key("delivery:\(facts.subject):unconfirmed"))]
  }

  private static func fails(_ facts: Facts) -> [NoticeChange] {
    guard let connection = facts.number("connectionId") else { return [] }
    return [
      .raise(
        NoticeCause(
          facts.key(failing(connection)),
          kind: "deliveries.failing",
          severity: .critical,
          title: "Publishing to {account} keeps failing",
          message: "The last deliveries to {account} failed. The newest reason: "
            + (facts.text("/error/message") ?? "none was given"),
          subject: "connection:\(connection)",
          threshold: failureThreshold
        )
      )
    ]
  }

  private static func unconfirmed(_ facts: Facts) -> NoticeChange {
    .raise(
      NoticeCause(
        facts.key("delivery:\(facts.subject):unconfirmed"),
        kind: "delivery.unconfirmed",
        severity: .warning,
        title: "Nobody knows whether a post is public",
        message: "The platform did not say whether it took the post of delivery \(facts.subject). Look at the account "
          + "and answer, so that the post is neither lost nor published twice.",
        subject: "delivery:\(facts.subject)"
      )
    )
  }

  private static func failing(_ connection: Int64) -> String { "connection:\(connection):failing" }

  // MARK: Connections

  private static func connectionExpired(_ facts: Facts) -> [NoticeChange] {
    guard let site = facts.site else { return [] }
    return [.raise(expired(facts.subject, site: site))]
  }

  /// A connection whose credentials are no longer taken; the look at the connections finds the same.
  static func expired(_ connection: Int64, site: Int64) -> NoticeCause {
    NoticeCause(
      NoticeKey(site: site, cause: "connection:\(connection):expired"),
      kind: "connection.expired",
      severity: .critical,
      title: "{account} must be connected again",
      message: "The platform no longer takes the credentials of {account}. Its deliveries wait or fail until somebody "
        + "enters new ones.",
      subject: "connection:\(connection)"
    )
  }

  private static func connectionWorks(_ facts: Facts) -> [NoticeChange] {
    [
      .clear(facts.key("connection:\(facts.subject):expired")),
      .clear(facts.key("connection:\(facts.subject):expiring")),
      .clear(facts.key("connection:\(facts.subject):renewal")),
    ]
  }

  private static func connectionIsGone(_ facts: Facts) -> [NoticeChange] {
    [.clear(facts.key(failing(facts.subject))), .clear(facts.key("connection:\(facts.subject):quota"))]
  }

  // MARK: Plugins and webhooks

  private static func plugin(
    _ facts: Facts,
    _ what: String,
    _ severity: NoticeSeverity,
    _ title: String
  ) -> [NoticeChange] {
    guard let plugin = facts.text("/plugin") else { return [] }
    return [
      .raise(
        NoticeCause(
          facts.key("plugin:\(plugin):\(what)"),
          kind: "plugin.\(what)",
          severity: severity,
          title: title.replacing("{plugin}", with: plugin),
          message: facts.text("/message") ?? "See the record of the plugin.",
          subject: "plugin:\(plugin)"
        )
      )
    ]
  }

  private static func clear(_ facts: Facts, _ causes: [String]) -> [NoticeChange] {
    guard let plugin = facts.text("/plugin") else { return [] }
    return causes.map { .clear(facts.key("plugin:\(plugin):\($0)")) }
  }

  private static func webhookDisabled(_ facts: Facts) -> [NoticeChange] {
    let isGone = facts.text("/reason") == "gone"
    return [
      .raise(
        NoticeCause(
          facts.key("webhook:\(facts.subject):disabled"),
          kind: "webhook.disabled",
          severity: .warning,
          title: "A webhook was switched off",
          message: isGone
            ? "The receiver of webhook \(facts.subject) answered that it is gone for good (410)."
            : "The receiver of webhook \(facts.subject) has taken nothing for a day. Switch it on again when it works, "
              + "and replay what it missed.",
          subject: "webhook:\(facts.subject)"
        )
      )
    ]
  }
}
