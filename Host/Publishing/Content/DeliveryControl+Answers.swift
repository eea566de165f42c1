import Audit
import Egress
import JobQueue
import PluginHost
import PluginManifest
import Postgres

/// What only a person can know.
extension DeliveryControl {
  /// A person's word on a delivery that nobody else can settle.
  package enum Answer: Sendable, Equatable {
    /// It is on the platform, at this address if one is known.
    case published(url: String?)
    /// It is not on the platform: send it.
    case notPublished
    /// Leave it.
    case giveUp
  }

  /// Settles an unconfirmed delivery with what a person saw.
  ///
  /// Of an address the id of the post is taken where the manifest says how: what follows in a thread answers to it, and a
  /// deletion names it.
  /// - Throws: a conflict when the delivery waits for no answer, or when the post belongs to another one; `invalid`, with
  ///   the field `url`, when the address is no post of the account, or is missing for a thread that is to go on.
  package func answer(_ answer: Answer, for id: Int64, site: Int64, user: Int64) async throws {
    try await pool.transaction(scope: .owner) { tx in
      let ended = try await lock(id, site: site, in: tx)
      guard ended.state == .unconfirmed else {
        throw PublishingError(.conflict, "nothing_to_answer", "Delivery \(id) waits for no answer")
      }
      var seen: SeenPost?
      if case .published(let url) = answer { seen = try await seenPost(at: url, of: ended, in: tx) }
      let outcome: OutcomeClass = if case .published = answer { .accepted } else { .notSent }
      try await tx.batch([
        """
        UPDATE delivery_effects SET state = 'done', outcome = \(outcome.rawValue), closed_by = \("user:\(user)"),
          remote_id = coalesce(\(seen?.remoteID), remote_id), remote_url = coalesce(\(seen?.url), remote_url)
        WHERE delivery_id = \(id) AND class = 'commit' AND (outcome IS NULL OR outcome = 'unknown')
        """,
        Self.audit(.deliveryAnswer, id, site: site, user: user),
      ])
      switch answer {
      case .published(let url):
        // The delivery has the address and id of its first post, whichever of a thread the answer is about.
        try await tx.batch([
          """
          WITH a AS (
            SELECT e.remote_id, e.remote_url FROM delivery_effects e
            WHERE e.delivery_id = \(id) AND e.class = 'commit' AND e.outcome = 'accepted' ORDER BY e.started_at LIMIT 1
          )
          UPDATE deliveries d SET error = NULL, ended_at = clock_timestamp(),
            remote_id = coalesce(d.remote_id, (SELECT a.remote_id FROM a)),
            remote_url = coalesce(d.remote_url, (SELECT a.remote_url FROM a), \(url)),
            segments = \(fragment: ThreadParts.posts(of: "d")),
            ended_as = CASE WHEN \(fragment: ThreadParts.areMissing(of: "d")) THEN 'partial' ELSE 'sent' END
          WHERE d.id = \(id)
          """,
          Self.ended([id]),
        ])
      case .notPublished:
        try await restart([ended], site: site, in: tx)
      case .giveUp:
        // What an earlier segment published stays published.
        try await tx.batch([
          """
          UPDATE deliveries d SET ended_at = clock_timestamp(), ended_as = CASE WHEN EXISTS (
            SELECT FROM delivery_effects e WHERE e.delivery_id = d.id AND e.class = 'commit' AND e.outcome = 'accepted')
            THEN 'partial' ELSE 'failed' END
          WHERE id = \(id)
          """,
          Self.ended([id]),
        ])
      }
    }
    queue.wake()
  }

  /// A post that a person saw on the platform.
  private struct SeenPost {
    let url: String
    /// Nil where the adapter's manifest does not say how an address tells it.
    let remoteID: String?
  }

  private func seenPost(at url: String?, of ended: Ended, in tx: Transaction) async throws -> SeenPost? {
    let rows = try await tx.query(
      """
      SELECT c.platform, c.account_handle, c.account_id, c.account_name, c.origin,
        \(fragment: ThreadParts.published(of: "d")) + 1 < \(fragment: ThreadParts.parts(of: "d")) AS goes_on
      FROM deliveries d JOIN platform_connections c ON c.id = d.connection_id WHERE d.id = \(ended.id)
      """
    )
    guard let row = rows.first, let manifest = plugins.manifest(for: try row.get("platform")),
      !manifest.postAddresses.isEmpty
    else { return url.map { SeenPost(url: $0, remoteID: nil) } }
    let allowed = "such as \(manifest.postAddresses[0])"
    guard let url else {
      guard try row.get("goes_on") else { return nil }
      throw PublishingError(
        .invalid,
        "missing",
        "url is missing; the rest of the thread needs the address of this post, \(allowed)",
        field: "url"
      )
    }
    let name: String = try row.get("account_name")
    let id: String
    switch manifest.readPostAddress(
      url,
      handle: try row.get("account_handle"),
      account: try row.get("account_id"),
      origin: try row.get("origin")
    ) {
    case .post(let found): id = found
    case .otherAccount:
      throw PublishingError(.invalid, "not_of_account", "url is a post of another account than \(name)", field: "url")
    case .other:
      throw PublishingError(
        .invalid,
        "not_allowed",
        "url is no address of a post on \(manifest.name); allowed is one \(allowed)",
        field: "url"
      )
    }
    let taken = try await tx.query(
      """
      SELECT d.id FROM deliveries d WHERE d.lane_id = \(ended.lane) AND d.remote_id = \(id) AND d.id <> \(ended.id)
      UNION ALL
      SELECT e.delivery_id FROM delivery_effects e
      WHERE e.delivery_id = \(ended.id) AND e.class = 'commit' AND e.outcome = 'accepted' AND e.remote_id = \(id)
      LIMIT 1
      """
    )
    if let other: Int64 = try taken.first?.get("id") {
      let whose = other == ended.id ? "another post of this thread" : "the post of delivery \(other)"
      throw PublishingError(.conflict, "other_post", "url is \(whose)", field: "url")
    }
    return SeenPost(url: url, remoteID: id)
  }

  /// Ends a failed delivery as sent: a person posted it at this address by hand.
  package func postedByHand(_ id: Int64, url: String, site: Int64, user: Int64) async throws {
    try await pool.transaction(scope: .owner) { tx in
      let ended = try await lock(id, site: site, in: tx)
      guard let state = ended.state, state.after(.postedByHand) != nil else {
        throw PublishingError(
          .conflict,
          "nothing_to_answer",
          "Delivery \(id) is \(ended.state?.rawValue ?? "still open"); only a failed one can be posted by hand"
        )
      }
      if let refusal = ended.refusal, refusal.code == "replaced" { throw refusal }
      try await tx.batch([
        """
        UPDATE deliveries SET ended_as = 'sent', by_hand = true, remote_url = \(url), error = NULL,
          ended_at = clock_timestamp() WHERE id = \(id)
        """,
        Self.ended([id]),
        Self.audit(.deliveryByHand, id, site: site, user: user),
      ])
    }
  }
}
