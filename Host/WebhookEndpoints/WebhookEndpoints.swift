package import Cryptography
package import Egress
internal import FoundationEssentials
internal import JobQueue
package import Postgres
package import Vault

/// The endpoints of a site: made, changed, given new secrets, removed.
package struct WebhookEndpoints: Sendable {
  let pool: Pool
  private let vault: Vault
  private let policy: AddressPolicy

  /// Endpoints of one site.
  package static let limit = 50
  /// How long the secret before a rotation signs too.
  package static let overlap: Duration = .seconds(86_400)

  package init(pool: Pool, vault: Vault, policy: AddressPolicy) {
    self.pool = pool
    self.vault = vault
    self.policy = policy
  }

  /// What a person decides about an endpoint; nil leaves it as it is.
  package struct Change: Sendable {
    package var url: String?
    package var description: String?
    package var eventTypes: [String]?
    package var takesHostEvents: Bool?
    package var isActive: Bool?

    package init(
      url: String? = nil,
      description: String? = nil,
      eventTypes: [String]? = nil,
      takesHostEvents: Bool? = nil,
      isActive: Bool? = nil
    ) {
      self.url = url
      self.description = description
      self.eventTypes = eventTypes
      self.takesHostEvents = takesHostEvents
      self.isActive = isActive
    }
  }

  /// Makes an endpoint, and its secret.
  ///
  /// - Parameters:
  ///   - first: The first statements of the transaction, such as taking an idempotency key; they get the endpoint's number.
  ///   - also: Its last statements, such as an audit row.
  package func create(
    _ change: Change,
    site: Int64,
    user: Int64?,
    taking first: @Sendable (Int64) -> [SQL] = { _ in [] },
    also: @Sendable (Int64) -> [SQL] = { _ in [] }
  ) async throws -> (endpoint: WebhookEndpoint, secret: Secret) {
    try check(change)
    guard let url = change.url else {
      throw WebhookError(.invalid, "missing", "url is missing", field: "url")
    }
    let id: Int64 = try await pool.query(
      "SELECT nextval(pg_get_serial_sequence('event_endpoints', 'id'))"
    )[0].get(0)
    let secret = Self.makeSecret()
    let sealed = try await vault.seal(secret, for: .webhookSecret(id, site: site, generation: 1))
    do {
      try await pool.transaction { tx in
        try await tx.batch(first(id))
        let count: Int64 = try await tx.query(
          "SELECT count(*) FROM event_endpoints WHERE site_id = \(site) AND deleted_at IS NULL"
        )[0].get(0)
        guard count < Self.limit else {
          throw WebhookError(.conflict, "too_many_webhooks", "A site has at most \(Self.limit) webhooks")
        }
        let lanes = try await tx.query(
          LaneStatements.ensure([
            LaneSpecification(kind: WebhookSender.kind, key: "endpoint:\(id)", siteID: site)
          ])
        )
        try await tx.execute(
          """
          INSERT INTO event_endpoints (id, site_id, url, description, event_types, takes_host_events, is_active, lane_id,
            sealed_secret, key_id, created_by)
          VALUES (\(id), \(site), \(url), \(change.description ?? ""), \(change.eventTypes ?? []),
            \(change.takesHostEvents ?? false), \(change.isActive ?? true), \(try lanes[0].get("lane_id", as: Int64.self)),
            \(sealed.bytes), \(sealed.keyID), \(user))
          """
        )
        try await tx.batch(also(id))
      }
    } catch let error as PostgresError where error.isUniqueViolation && error.table == "event_endpoints" {
      throw Self.taken
    }
    return (try await endpoint(id, site: site), secret)
  }

  /// Changes an endpoint. Switching it on again forgets its failures.
  package func update(_ id: Int64, with change: Change, site: Int64, also: [SQL] = []) async throws -> WebhookEndpoint {
    try check(change)
    do {
      try await pool.transaction { tx in
        let before = try await tx.query(
          """
          SELECT is_active FROM event_endpoints
          WHERE id = \(id) AND site_id = \(site) AND deleted_at IS NULL FOR UPDATE
          """
        )
        guard let row = before.first else { throw WebhookError.endpointNotFound(id) }
        let wasActive = try row.get("is_active", as: Bool.self)
        let isOn = change.isActive == true && !wasActive
        try await tx.execute(
          """
          UPDATE event_endpoints SET url = coalesce(\(change.url), url),
            description = coalesce(\(change.description), description),
            event_types = CASE WHEN \(change.eventTypes != nil) THEN \(change.eventTypes ?? []) ELSE event_types END,
            takes_host_events = coalesce(\(change.takesHostEvents), takes_host_events),
            is_active = coalesce(\(change.isActive), is_active),
            disabled_reason = CASE WHEN \(isOn) THEN NULL ELSE disabled_reason END,
            failures = CASE WHEN \(isOn) THEN 0 ELSE failures END,
            failing_since = CASE WHEN \(isOn) THEN NULL ELSE failing_since END, updated_at = now()
          WHERE id = \(id)
          """
        )
        if isOn { try await tx.execute(Self.event("enabled", id, site: site)) }
        try await tx.batch(also)
      }
    } catch let error as PostgresError where error.isUniqueViolation && error.table == "event_endpoints" {
      throw Self.taken
    }
    return try await endpoint(id, site: site)
  }

  /// Gives an endpoint a new secret. The one before signs too until `overlap` is over, so that a receiver can change
  /// without losing a message.
  package func rotate(
    _ id: Int64,
    overlap: Duration = WebhookEndpoints.overlap,
    site: Int64,
    also: [SQL] = []
  ) async throws -> (endpoint: WebhookEndpoint, secret: Secret) {
    let rows = try await pool.query(
      "SELECT generation FROM event_endpoints WHERE id = \(id) AND site_id = \(site) AND deleted_at IS NULL"
    )
    guard let generation = try rows.first?.get("generation", as: Int64.self) else {
      throw WebhookError.endpointNotFound(id)
    }
    let secret = Self.makeSecret()
    let sealed = try await vault.seal(secret, for: .webhookSecret(id, site: site, generation: generation + 1))
    try await pool.transaction { tx in
      let count = try await tx.execute(
        """
        UPDATE event_endpoints SET sealed_previous = sealed_secret, previous_key_id = key_id,
          previous_generation = generation,
          previous_until = clock_timestamp() + \(Double(overlap.components.seconds)) * interval '1 s',
          sealed_secret = \(sealed.bytes), key_id = \(sealed.keyID), generation = \(generation + 1), updated_at = now()
        WHERE id = \(id) AND site_id = \(site) AND generation = \(generation) AND deleted_at IS NULL
        """
      )
      guard count == 1 else {
        throw WebhookError(.conflict, "version_conflict", "The webhook got a new secret at the same moment; try again")
      }
      try await tx.batch(also)
    }
    return (try await endpoint(id, site: site), secret)
  }

  /// Removes an endpoint and its secrets; its log stays until it is old.
  package func remove(_ id: Int64, site: Int64, also: [SQL] = []) async throws {
    try await pool.transaction { tx in
      let count = try await tx.execute(
        """
        UPDATE event_endpoints SET deleted_at = now(), updated_at = now(), is_active = false, sealed_secret = '',
          sealed_previous = NULL, previous_until = NULL, generation = generation + 1
        WHERE id = \(id) AND site_id = \(site) AND deleted_at IS NULL
        """
      )
      guard count == 1 else { throw WebhookError.endpointNotFound(id) }
      // Whoever was told that it does not work is told that this is over.
      try await tx.execute(Self.event("removed", id, site: site))
      try await tx.batch(also)
    }
  }

  // MARK: Reading

  package func endpoint(_ id: Int64, site: Int64) async throws -> WebhookEndpoint {
    let rows = try await pool.query(
      """
      SELECT \(fragment: WebhookEndpoint.columns) FROM event_endpoints e WHERE e.id = \(id) AND e.deleted_at IS NULL
      """,
      scope: .site(site)
    )
    guard let row = rows.first else { throw WebhookError.endpointNotFound(id) }
    return try WebhookEndpoint(row)
  }

  /// The secret of an endpoint, to be shown once more to whoever made it with the very same request.
  package func secret(of id: Int64, site: Int64) async throws -> Secret {
    let rows = try await pool.query(
      """
      SELECT sealed_secret, key_id, generation FROM event_endpoints
      WHERE id = \(id) AND site_id = \(site) AND deleted_at IS NULL
      """
    )
    guard let row = rows.first else { throw WebhookError.endpointNotFound(id) }
    return try await vault.open(
      stored: row.get("sealed_secret"),
      keyID: row.get("key_id"),
      for: .webhookSecret(id, site: site, generation: row.get("generation"))
    )
  }

  /// The site of an endpoint, for those who may see all sites.
  package func site(of id: Int64) async throws -> Int64 {
    let rows = try await pool.query("SELECT site_id FROM event_endpoints WHERE id = \(id) AND deleted_at IS NULL")
    guard let row = rows.first else {
      throw WebhookError(.notFound, "webhook_not_found", "There is no webhook \(id); see `rostrum webhook list`")
    }
    return try row.get("site_id")
  }

  /// The endpoints of a site, newest first.
  package func list(site: Int64, before: Int64? = nil, limit: Int = 50) async throws -> [WebhookEndpoint] {
    try await pool.query(
      """
      SELECT \(fragment: WebhookEndpoint.columns) FROM event_endpoints e
      WHERE e.deleted_at IS NULL AND e.id < \(before ?? .max) ORDER BY e.id DESC LIMIT \(Int64(limit))
      """,
      scope: .site(site)
    ).map { row throws(PostgresError) in try WebhookEndpoint(row) }
  }

  // MARK: Checks

  private func check(_ change: Change) throws {
    if let url = change.url {
      let target: TargetURL
      do {
        target = try TargetURL(url)
      } catch {
        throw WebhookError(.invalid, "bad_address", "The address \(error)", field: "url")
      }
      if let objection = policy.objection(to: policy.resolved(target)) {
        throw WebhookError(.invalid, "address_refused", "The address may not be used: \(objection)", field: "url")
      }
    }
    for type in change.eventTypes ?? [] where EventPattern(type) == nil {
      throw WebhookError(
        .invalid,
        "unknown_event",
        "“\(type.prefix(80))” is no event; allowed are *, a family such as delivery.*, and "
          + EventCatalogue.kinds.map(\.name).joined(separator: ", "),
        field: "eventTypes"
      )
    }
  }

  private static let taken = WebhookError(
    .conflict,
    "webhook_exists",
    "This site has a webhook with this address already",
    field: "url"
  )

  private static func event(_ what: String, _ id: Int64, site: Int64) -> SQL {
    """
    INSERT INTO outbox (site_id, kind, subject_id, data)
    VALUES (\(site), \("webhook." + what), \(id), jsonb_build_object('id', \(id)::bigint))
    """
  }

  private static func makeSecret() -> Secret {
    Secret("whsec_" + Base64.encode(RandomBytes.make(32)))
  }
}
