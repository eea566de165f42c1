import JSONText
package import JobQueue
package import Postgres

extension DeliveryControl {
  /// Deletes a post and withdraws what has not been sent of it. What was published stays published, and a delivery that
  /// has a request on its way runs to its end.
  ///
  /// From the moment the post is gone nothing of it starts any more, also if this host dies before it has withdrawn
  /// everything: each job carries its cancellation from the same transaction.
  /// - Parameter also: statements for that transaction.
  package func deletePost(_ id: Int64, site: Int64, also: [SQL] = []) async throws -> CancelResult {
    let deliveries = try await pool.transaction(scope: .owner) { tx in
      // A dispatch that is just being accepted holds the row; its deliveries are seen by the next statement.
      let rows = try await tx.query(
        "SELECT FROM posts WHERE id = \(id) AND site_id = \(site) AND deleted_at IS NULL FOR UPDATE"
      )
      guard !rows.isEmpty else { throw PublishingError.notFound("post", id) }
      let answers = try await tx.batch(
        [
          "UPDATE posts SET deleted_at = now() WHERE id = \(id)",
          """
          UPDATE deliveries d SET error = \(JSONB(text: Self.reason.json().text)) FROM distributions g
          WHERE g.post_id = \(id) AND d.distribution_id = g.id AND d.ended_as IS NULL RETURNING d.id
          """,
          """
          UPDATE jobs j SET canceled_at = coalesce(j.canceled_at, clock_timestamp())
          FROM distributions g JOIN deliveries d ON d.distribution_id = g.id
          WHERE g.post_id = \(id) AND d.ended_as IS NULL AND j.job_id = d.id AND j.state = 'open'
          """,
        ] + also
      )
      return try answers[1].map { try $0.get("id", as: Int64.self) }
    }
    var result = CancelResult()
    for delivery in deliveries {
      switch try await queue.cancelJob(delivery) {
      case .dropped: result.dropped += 1
      case .alreadySending: result.alreadySending += 1
      case .notFound: break
      }
    }
    return result
  }

  private static let reason = DeliveryProblem(kind: "postDeleted", retry: .never, message: "The post was deleted")
}
