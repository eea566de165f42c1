import Audit
import JobQueue
import PluginHost
import PluginManifest
import Postgres

extension DeliveryControl {
  /// Asks for a published post, or every post of a thread, to be deleted on its platform; the queue does it, in a run of
  /// its own.
  ///
  /// - Throws: a conflict while the delivery is not out, while the outcome of a request is unknown, or when it was asked
  ///   for before; `invalid` when the platform or its adapter can not delete.
  package func removeFromPlatform(_ id: Int64, site: Int64, user: Int64?) async throws {
    try await pool.transaction(scope: .owner) { tx in
      let ended = try await lock(id, site: site, in: tx)
      let rows = try await tx.query(
        """
        SELECT platform, removal, remote_id IS NOT NULL OR segments IS NOT NULL AS is_known FROM (
          SELECT d.platform, d.removal, d.remote_id, \(fragment: ThreadParts.posts(of: "d")) AS segments
          FROM deliveries d WHERE d.id = \(id)) x
        """
      )
      let (platform, removal): (String, String?) = (try rows[0].get("platform"), try rows[0].get("removal"))
      guard ended.state == .sent || ended.state == .partial else {
        throw PublishingError(
          .conflict,
          "not_published",
          "Delivery \(id) is \(ended.state?.rawValue ?? "still open"); only what is published can be deleted"
        )
      }
      guard removal == nil || removal == "failed" else {
        throw PublishingError(
          .conflict,
          removal == "removed" ? "removed" : "being_removed",
          "Delivery \(id) \(removal == "removed" ? "was deleted on its platform" : "is being deleted on its platform")"
        )
      }
      guard !ended.isOpen || removal == "failed" else {
        throw PublishingError(
          .conflict,
          "outcome_unknown",
          "It is not known what became of a request of delivery \(id), so nothing is deleted"
        )
      }
      guard try rows[0].get("is_known") else {
        throw PublishingError(.conflict, "no_remote_id", "Nobody told the platform's id of delivery \(id)")
      }
      guard let manifest = plugins.manifest(for: platform), manifest.answers("post/delete") else {
        throw PublishingError(.invalid, "not_supported", "The adapter for “\(platform)” can not delete posts")
      }
      let job = NewJob(
        id: id,
        siteID: site,
        laneID: ended.lane,
        kind: RemovalHandler.kind,
        priority: .urgent,
        maximumAttempts: maximumAttempts
      )
      let answers = try await tx.batch([
        """
        UPDATE deliveries d SET removal = 'asked', removal_error = NULL, run = run + 1, bodies_dropped = false,
          removal_run = coalesce(removal_run, run + 1), segments = \(fragment: ThreadParts.posts(of: "d"))
        WHERE d.id = \(id)
        """,
        Enqueue.jobs([job]),
        """
        INSERT INTO outbox (site_id, kind, subject_id, data) VALUES (\(site), 'delivery.removalAsked', \(id),
          jsonb_build_object('id', \(id)::bigint, 'distributionId', \(ended.distribution)::bigint, 'removal', 'asked'))
        """,
        Self.audit(.deliveryRemove, id, site: site, user: user),
      ])
      guard answers[1].count == 1 else {
        throw PublishingError(.conflict, "being_removed", "Delivery \(id) is still in the queue; try again in a moment")
      }
    }
    queue.wake()
  }
}
