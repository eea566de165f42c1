internal import Audit
import FoundationEssentials
package import JobQueue
package import PluginHost
package import Postgres

/// What people do to deliveries: withdraw them, hold them, ask for another try, answer what nobody else can know.
package struct DeliveryControl: Sendable {
  let pool: Pool
  let queue: JobQueue
  let contents: DeliveryContents
  let plugins: PluginHost
  let maximumAttempts: Int

  package init(pool: Pool, queue: JobQueue, plugins: PluginHost, maximumAttempts: Int) {
    self.pool = pool
    self.queue = queue
    self.plugins = plugins
    self.maximumAttempts = maximumAttempts
    contents = DeliveryContents(plugins: plugins)
  }

  /// Withdraws a delivery that has not been sent yet.
  ///
  /// - Throws: a conflict when it has ended, or when a request is on its way.
  package func cancel(_ id: Int64, site: Int64, user: Int64?) async throws {
    try await requireOpen(id, site: site)
    switch try await queue.cancelJob(id, also: [Self.audit(.deliveryCancel, id, site: site, user: user)]) {
    case .dropped: return
    case .alreadySending:
      throw PublishingError(.conflict, "already_sending", "Delivery \(id) is being sent and can not be called back")
    case .notFound:
      throw PublishingError(.conflict, "already_ended", "Delivery \(id) has ended already")
    }
  }

  /// Sends a delivery now that is planned for later.
  ///
  /// - Throws: a conflict when it waits for nothing any more.
  package func sendNow(_ id: Int64, site: Int64, user: Int64?) async throws {
    try await requireOpen(id, site: site)
    let moved = try await queue.reschedule([id], to: Date())
    guard moved == 1 else {
      throw PublishingError(.conflict, "not_pending", "Delivery \(id) is on its way already")
    }
    try await pool.batch([
      "UPDATE deliveries SET scheduled_for = now() WHERE id = \(id) AND ended_as IS NULL",
      Self.audit(.deliverySendNow, id, site: site, user: user),
    ])
  }

  private func requireOpen(_ id: Int64, site: Int64) async throws {
    let rows = try await pool.query("SELECT ended_as FROM deliveries WHERE id = \(id)", scope: .site(site))
    guard let row = rows.first else { throw PublishingError.notFound("delivery", id) }
    if let ended = try row.get("ended_as", as: String?.self) {
      throw PublishingError(.conflict, "already_ended", "Delivery \(id) is \(ended) already")
    }
  }

  // MARK: Rows

  /// The event of an end that a person decided.
  static func ended(_ ids: [Int64]) -> SQL {
    """
    INSERT INTO outbox (site_id, kind, subject_id, data)
    SELECT site_id, 'delivery.' || ended_as, id, jsonb_strip_nulls(jsonb_build_object('id', id,
      'distributionId', distribution_id, 'connectionId', connection_id, 'platform', platform, 'state', ended_as,
      'url', remote_url, 'attempts', attempts, 'error', error))
    FROM deliveries WHERE id = ANY(\(ids)) AND ended_as IS NOT NULL ORDER BY id
    """
  }

  static func audit(_ action: AuditAction, _ id: Int64, site: Int64, user: Int64?) -> SQL {
    audit(action, subject: "delivery:\(id)", site: site, user: user)
  }

  static func audit(_ action: AuditAction, subject: String, site: Int64, user: Int64?) -> SQL {
    AuditEntry(action, subject, site: site, user: user).insertion
  }
}
