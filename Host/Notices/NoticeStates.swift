package import Postgres

/// Causes that are states, not events: looked at from time to time. What is in the answer is open, the rest is closed.
package struct NoticeState: Sendable {
  /// The rule, whose open notices this look owns.
  package let kind: String
  /// The only cause of the kind that it owns; nil for all of them.
  package let cause: String?
  let look: @Sendable (Transaction) async throws -> [NoticeCause]

  package init(
    kind: String,
    cause: String? = nil,
    look: @escaping @Sendable (Transaction) async throws -> [NoticeCause]
  ) {
    self.kind = kind
    self.cause = cause
    self.look = look
  }

  /// What one host of all looks at. To add a rule, add a look.
  package static let shared = [expired, expiring, application, renewal, quota, breaker, hold, audit]

  /// Platforms and accounts to which nothing has been sent for long.
  private static let breaker = NoticeState(kind: "breaker.stuck") { tx in
    try await tx.query(
      """
      SELECT b.platform, b.connection_id, s.site_id FROM breakers b CROSS JOIN LATERAL (
        SELECT c.site_id FROM platform_connections c
        WHERE c.deleted_at IS NULL AND CASE WHEN b.connection_id = 0 THEN c.platform = b.platform
          ELSE c.id = b.connection_id END
        GROUP BY 1
      ) s WHERE b.reported_at IS NOT NULL
      """
    ).map { row in
      let (id, platform): (Int64, String) = (try row.get("connection_id"), try row.get("platform"))
      return NoticeCause(
        NoticeKey(site: try row.get("site_id"), cause: "breaker:\(platform):\(id)"),
        kind: "breaker.stuck",
        severity: .critical,
        title: id == 0 ? "The platform \(platform) has not worked for long" : "{account} has not worked for long",
        message: "Requests kept failing, so nothing is sent but a try from time to time. Deliveries wait. See the "
          + "limits of the account and the platform's own page of its state.",
        subject: id == 0 ? "platform:\(platform)" : "connection:\(id)"
      )
    }
  }

  /// The hosts send nothing until a person decides.
  private static let hold = NoticeState(kind: "host.held") { tx in
    try await tx.query("SELECT id, reason FROM holds WHERE ended_at IS NULL").map { row in
      NoticeCause(
        NoticeKey(site: nil, cause: "host:held"),
        kind: "host.held",
        severity: .critical,
        title: "The host is on hold and sends nothing",
        message: try row.get("reason"),
        subject: "hold:\(try row.get("id", as: Int64.self))"
      )
    }
  }

  /// Connections that must be entered anew.
  private static let expired = NoticeState(kind: "connection.expired") { tx in
    try await tx.query(
      "SELECT id, site_id FROM platform_connections WHERE deleted_at IS NULL AND status IN ('expired', 'error')"
    ).map { row in NoticeRules.expired(try row.get("id"), site: try row.get("site_id")) }
  }

  /// Credentials that end soon and that nobody but a person can renew: within 7 days, and within the last fifth of their
  /// life.
  private static let expiring = NoticeState(kind: "connection.expiring") { tx in
    try await tx.query(
      """
      SELECT id, site_id, ceil(extract(epoch FROM expires_at - now()) / 86400)::int AS days FROM platform_connections
      WHERE deleted_at IS NULL AND status = 'active' AND renew_at IS NULL AND expires_at < now() + least(interval '7 days',
        0.2 * (expires_at - coalesce(last_validated_at, created_at)))
      """
    ).map { row in
      let (id, days): (Int64, Int32) = (try row.get("id"), try row.get("days"))
      return NoticeCause(
        NoticeKey(site: try row.get("site_id"), cause: "connection:\(id):expiring"),
        kind: "connection.expiring",
        severity: .warning,
        title: "The credentials of {account} end soon",
        message: days > 0
          ? "They end in \(days == 1 ? "a day" : "\(days) days") or less. Enter new ones before."
          : "They have ended. Enter new ones.",
        subject: "connection:\(id)"
      )
    }
  }

  /// Applications that their platform refuses, one notice for all their accounts.
  private static let application = NoticeState(kind: "application.refused") { tx in
    try await tx.query(
      """
      SELECT site_id, platform, app_id, count(*)::int AS accounts, min(renewal_error) AS error FROM platform_connections
      WHERE deleted_at IS NULL AND status = 'active' AND renewal_generation = generation
        AND renewal_fault = 'application'
      GROUP BY 1, 2, 3
      """
    ).map { row in
      let (platform, app): (String, Int64?) = (try row.get("platform"), try row.get("app_id"))
      let accounts: Int32 = try row.get("accounts")
      return NoticeCause(
        NoticeKey(site: try row.get("site_id"), cause: "application:\(platform):\(app ?? 0):refused"),
        kind: "application.refused",
        severity: .critical,
        title: "\(platform) refuses the application that accounts were connected with",
        message: "The tokens of \(accounts == 1 ? "an account" : "\(accounts) accounts") can not be renewed "
          + "(\(try row.get("error", as: String?.self) ?? "no reason was given")). Whoever runs the application checks its "
          + "id and secret. The accounts work until their tokens end, and need not be connected again.",
        subject: "platform:\(platform)"
      )
    }
  }

  /// Accounts whose token could not be renewed again and again.
  private static let renewal = NoticeState(kind: "connection.renewalFailing") { tx in
    try await tx.query(
      """
      SELECT id, site_id, renewal_error FROM platform_connections
      WHERE deleted_at IS NULL AND status = 'active' AND renewal_generation = generation
        AND renewal_fault = 'passing' AND renewal_failures >= \(failuresBeforeNotice)
      """
    ).map { row in
      let id: Int64 = try row.get("id")
      return NoticeCause(
        NoticeKey(site: try row.get("site_id"), cause: "connection:\(id):renewal"),
        kind: "connection.renewalFailing",
        severity: .warning,
        title: "The token of {account} could not be renewed",
        message:
          "The newest reason: \(try row.get("renewal_error", as: String?.self) ?? "none was given"). It is tried "
          + "again by itself; nobody has to do anything unless it lasts.",
        subject: "connection:\(id)"
      )
    }
  }

  /// A renewal that works at the next try is no news.
  private static let failuresBeforeNotice: Int32 = 4

  /// Four fifths of what a platform allows are used, as it reports itself.
  private static let quota = NoticeState(kind: "quota.low") { tx in
    try await tx.query(
      """
      SELECT r.connection_id, r.site_id, min(100 * r.remaining / r.request_limit)::int AS percent
      FROM rate_limit_tracking r JOIN platform_connections c ON c.id = r.connection_id AND c.deleted_at IS NULL
      WHERE r.request_limit > 0 AND r.remaining <= r.request_limit / 5 AND r.resets_at > now()
      GROUP BY 1, 2
      """
    ).map { row in
      let id: Int64 = try row.get("connection_id")
      return NoticeCause(
        NoticeKey(site: try row.get("site_id"), cause: "connection:\(id):quota"),
        kind: "quota.low",
        severity: .warning,
        title: "{account} has used most of what its platform allows",
        message: "\(try row.get("percent", as: Int32.self)) % are left until the limit starts anew. "
          + "Deliveries wait when nothing is left.",
        subject: "connection:\(id)"
      )
    }
  }

  /// Keys that seal for too long: one notice for the key of the hosts, one for those of all sites.
  ///
  /// - Parameter days: How long a key may seal.
  package static func oldKeys(afterDays days: Int) -> NoticeState {
    NoticeState(kind: "vault.keyOld") { tx in
      try await tx.query(
        """
        SELECT purpose, count(*) AS count, min(key_number) AS key FROM vault_keys
        WHERE purpose IN ('kek', 'dek') AND status = 'primary'
          AND coalesce(activated_at, created_at) < now() - \(Int64(days)) * interval '1 day'
        GROUP BY purpose
        """
      ).map { row in
        let isHosts = try row.get("purpose", as: String.self) == "kek"
        let count: Int64 = try row.get("count")
        return NoticeCause(
          NoticeKey(site: nil, cause: isHosts ? "vault:key:host" : "vault:key:sites"),
          kind: "vault.keyOld",
          severity: .warning,
          title: isHosts ? "The key of the hosts should be changed" : "Keys of sites should be changed",
          message: isHosts
            ? "It seals for more than \(days) days. Add another one to OAUTH_ENCRYPTION_KEY, then: "
              + "rostrum vault rotate --host-key"
            : "\(count == 1 ? "One seals" : "\(count) seal") for more than \(days) days: rostrum vault rotate --site ID",
          subject: isHosts ? "key:\(try row.get("key", as: Int64.self))" : nil
        )
      }
    }
  }

  /// Rows of the audit trail that no host seals.
  private static let audit = NoticeState(kind: "audit.unsealed") { tx in
    let rows = try await tx.query(
      """
      SELECT FROM audit_logs WHERE seq IS NULL AND xid < pg_snapshot_xmin(pg_current_snapshot())
        AND created_at < clock_timestamp() - interval '60 s' LIMIT 1
      """
    )
    if rows.isEmpty { return [] }
    return [
      NoticeCause(
        NoticeKey(site: nil, cause: "audit:unsealed"),
        kind: "audit.unsealed",
        severity: .critical,
        title: "The audit trail is not sealed",
        message: "Rows wait for more than a minute, and could be changed unseen. See the log of the hosts."
      )
    ]
  }

  // MARK: Each host for itself

  /// Rows of the audit trail that this host knows of and the database lacks.
  ///
  /// - Parameter missing: How many there are.
  package static func auditTail(_ home: String, missing: @escaping @Sendable () -> Int64) -> NoticeState {
    let cause = "audit:truncated:\(home)"
    return NoticeState(kind: "audit.truncated", cause: cause) { _ in
      let count = missing()
      guard count > 0 else { return [] }
      return [
        NoticeCause(
          NoticeKey(site: nil, cause: cause),
          kind: "audit.truncated",
          severity: .critical,
          title: "The newest rows of the audit trail are gone",
          message: "The database lacks \(count) rows that the host of \(home) knows of: `rostrum audit verify`."
        )
      ]
    }
  }

  /// A disk of this host that is nearly full.
  ///
  /// - Parameters:
  ///   - free: Bytes that are free, and bytes in all.
  package static func disk(
    _ folder: String,
    free: @escaping @Sendable () -> (free: UInt64, total: UInt64)?
  ) -> NoticeState {
    let cause = "disk:\(folder)"
    return NoticeState(kind: "disk.low", cause: cause) { _ in
      guard let (free, total) = free(), isLow(free: free, total: total) else { return [] }
      return [
        NoticeCause(
          NoticeKey(site: nil, cause: cause),
          kind: "disk.low",
          severity: .critical,
          title: "A disk of the host is nearly full",
          message: "\(free >> 20) MiB of \(total >> 20) MiB are free at \(folder). Make room, or publishing stops.",
          subject: nil
        )
      ]
    }
  }

  /// Less than a twentieth, on large disks less than 5 GiB.
  package static func isLow(free: UInt64, total: UInt64) -> Bool {
    free < min(total / 20, 5 << 30)
  }

  /// Runnable jobs that nobody claims.
  package static func queue(_ wait: @escaping @Sendable () async throws -> Duration) -> NoticeState {
    NoticeState(kind: "queue.stalled") { _ in
      guard try await wait() >= .seconds(60) else { return [] }
      return [
        NoticeCause(
          NoticeKey(site: nil, cause: "queue:stalled"),
          kind: "queue.stalled",
          severity: .critical,
          title: "The queue stands still",
          message: "A job that may run has been waiting for more than a minute. See the log of the hosts."
        )
      ]
    }
  }
}
