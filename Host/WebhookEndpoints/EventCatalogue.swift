/// The events that endpoints can ask for; the API's description and its checks are made of this list.
///
/// A part of the host that writes a new kind into the outbox adds it here.
package enum EventCatalogue {
  package struct Kind: Sendable {
    package let name: String
    package let about: String
    /// The members of `data` that are always there.
    package let members: [String]
  }

  private static let delivery = ["id", "distributionId", "connectionId", "platform", "state"]
  private static let plugin = ["plugin", "version", "message"]
  private static let breaker = ["scope", "platform", "connectionId", "openedAt", "trips"]
  private static let notice = ["id", "kind", "severity", "scope"]

  package static let kinds: [Kind] = [
    Kind(
      name: "distribution.created",
      about: "A post was accepted for publishing",
      members: ["id", "postId", "deliveries"]
    ),
    Kind(
      name: "distribution.ended",
      about: "Nothing of a distribution is on its way any more; one that is reopened ends again",
      members: ["id", "postId", "deliveries", "states", "createdAt", "endedAt", "durationMs"]
    ),
    Kind(name: "distribution.paused", about: "What has not begun of a distribution waits", members: ["id"]),
    Kind(name: "distribution.resumed", about: "A paused distribution goes on", members: ["id"]),
    Kind(name: "distribution.canceled", about: "What has not begun of a distribution is withdrawn", members: ["id"]),
    Kind(
      name: "distribution.retried",
      about: "What failed of a distribution is tried again",
      members: ["id", "deliveries"]
    ),
    Kind(
      name: "post.deliveriesUpdated",
      about: "Deliveries that are still to come carry the new version of an edited post",
      members: ["id", "version", "deliveries"]
    ),
    Kind(name: "delivery.sent", about: "A post is public at an account", members: delivery),
    Kind(name: "delivery.partial", about: "A part of a post is public, the rest is not", members: delivery),
    Kind(name: "delivery.failed", about: "A delivery ended without being published", members: delivery),
    Kind(
      name: "delivery.unconfirmed",
      about: "Nobody knows whether a post is public; a person must look and answer",
      members: delivery
    ),
    Kind(name: "delivery.canceled", about: "A delivery was withdrawn before anything was sent", members: delivery),
    Kind(
      name: "delivery.removalAsked",
      about: "A published post is to be deleted on its platform",
      members: ["id", "distributionId", "removal"]
    ),
    Kind(
      name: "delivery.removed",
      about: "A published post is deleted on its platform",
      members: delivery + ["removal"]
    ),
    Kind(
      name: "delivery.removalFailed",
      about: "A published post, or a part of it, could not be deleted on its platform",
      members: delivery + ["removal"]
    ),
    Kind(name: "site.paused", about: "Nothing of a site is sent until it is resumed", members: ["id"]),
    Kind(name: "site.resumed", about: "A paused site goes on", members: ["id"]),
    Kind(name: "connection.paused", about: "Nothing is sent to an account until it is resumed", members: ["id"]),
    Kind(name: "connection.resumed", about: "A paused account goes on", members: ["id"]),
    Kind(
      name: "connection.diverted",
      about: "What waited for an account goes to another one",
      members: ["id", "to", "deliveries"]
    ),
    Kind(name: "connection.created", about: "An account was connected", members: ["id", "platform"]),
    Kind(name: "connection.active", about: "The credentials of an account work again", members: ["id", "platform"]),
    Kind(
      name: "connection.expired",
      about: "The platform no longer takes an account's credentials",
      members: ["id", "platform"]
    ),
    Kind(
      name: "connection.revoked",
      about: "An account was disconnected, or its credentials were taken out of use",
      members: ["id", "platform"]
    ),
    Kind(
      name: "connection.quota",
      about: "Four fifths of a limit of an account are used",
      members: ["connectionId", "platform", "limit", "remaining"]
    ),
    Kind(name: "breaker.opened", about: "Requests keep failing, so nothing is sent for a while", members: breaker),
    Kind(name: "breaker.closed", about: "A platform or account works again", members: breaker),
    Kind(
      name: "breaker.stuck",
      about: "Nothing has been sent to a platform or account for long, because it keeps failing",
      members: breaker
    ),
    Kind(name: "plugin.installed", about: "A plugin was installed", members: plugin),
    Kind(name: "plugin.upgraded", about: "Another version of a plugin was taken into use", members: plugin),
    Kind(name: "plugin.waiting", about: "A version asks for more than was approved, and waits", members: plugin),
    Kind(name: "plugin.refused", about: "A version that waited was refused", members: plugin),
    Kind(name: "plugin.removed", about: "A plugin was removed", members: plugin),
    Kind(name: "plugin.rolledBack", about: "An earlier version of a plugin works again", members: plugin),
    Kind(name: "plugin.selfTestFailed", about: "A version was not taken into use", members: plugin),
    Kind(name: "plugin.failed", about: "A new version failed and the one before works instead", members: plugin),
    Kind(name: "plugin.crashed", about: "A plugin's process ended by itself", members: plugin),
    Kind(name: "plugin.quarantined", about: "A version of a plugin is not started any more", members: plugin),
    Kind(name: "plugin.released", about: "A plugin in quarantine works again", members: plugin),
    Kind(name: "plugin.jobParked", about: "A job is not given to a plugin that died of it", members: plugin),
    Kind(name: "webhook.disabled", about: "The host stopped sending to an endpoint", members: ["id", "reason"]),
    Kind(name: "webhook.enabled", about: "An endpoint gets events again", members: ["id"]),
    Kind(name: "webhook.removed", about: "An endpoint was removed", members: ["id"]),
    Kind(name: "webhook.test", about: "Somebody tries this endpoint", members: ["endpointId"]),
    Kind(name: "notice.opened", about: "Something needs attention", members: notice),
    Kind(name: "notice.closed", about: "The cause of a notice is gone", members: notice),
  ]

  /// The words before the dot. Events of a family that are not listed above reach those who ask for the family.
  package static let families: Set<String> = Set(kinds.map { String($0.name.prefix { $0 != "." }) })
}
