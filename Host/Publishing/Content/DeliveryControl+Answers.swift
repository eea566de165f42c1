import Egress
import JobQueue
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
  package func answer(_ answer: Answer, for id: Int64, site: Int64, user: Int64) async throws {
    try await pool.transaction(scope: .owner) { tx in
      let ended = try await lock(id, site: site, in: tx)
      guard ended.state == .unconfirmed else {
        throw PublishingError(.conflict, "nothing_to_answer", "Delivery \(id) waits for no answer")
      }
      let outcome: OutcomeClass = if case .published = answer { .accepted } else { .notSent }
      try await tx.batch([
        """
        UPDATE delivery_effects SET state = 'done', outcome = \(outcome.rawValue), closed_by = \("user:\(user)")
        WHERE delivery_id = \(id) AND class = 'commit' AND (outcome IS NULL OR outcome = 'unknown')
        """,
        Self.audit("delivery.answer", id, site: site, user: user),
      ])
      switch answer {
      case .published(let url):
        try await tx.batch([
          """
          UPDATE deliveries d SET remote_url = coalesce(remote_url, \(url)), error = NULL,
            ended_as = CASE WHEN \(fragment: ThreadParts.areMissing(of: "d")) THEN 'partial' ELSE 'sent' END,
            ended_at = clock_timestamp() WHERE id = \(id)
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
        Self.audit("delivery.byHand", id, site: site, user: user),
      ])
    }
  }
}
