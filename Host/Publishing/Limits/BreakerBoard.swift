import Egress
import FoundationEssentials
import JSONText
import JobQueue
package import Logging
package import Postgres
import Synchronization

/// Opens and closes the breakers: it counts on this host, and what it decides stands in the database for all hosts.
///
/// An open breaker of an account blocks its lane, one of a platform blocks the platform's pool, which then gives out one
/// probe at a time.
package final class BreakerBoard: Sendable {
  /// Whose server a request went to.
  struct Subject: Sendable {
    var platform: String
    var connectionID: Int64
    var siteID: Int64
    var laneID: Int64
    /// Whether other accounts of the platform use the same server.
    var sharesServer: Bool
    /// Breakers that were not closed when the job was claimed.
    var connectionIsBroken: Bool
    var platformIsBroken: Bool
  }

  let settings: BreakerSettings
  private let pool: Pool
  private let logger: Logger
  private let tally: Mutex<FailureTally>

  package init(pool: Pool, settings: BreakerSettings = BreakerSettings(), logger: Logger) {
    self.pool = pool
    self.settings = settings
    self.logger = logger
    tally = Mutex(FailureTally(settings))
  }

  /// Takes in what the requests of one attempt showed, in their order.
  func note(_ signs: [ServerSign], of subject: Subject) async throws {
    guard let last = signs.last else { return }
    let now = Date()
    let platform = subject.sharesServer ? subject.platform : nil
    var opens = (connection: false, platform: false)
    tally.withLock { tally in
      for sign in signs {
        switch sign {
        case .alive: tally.answered(subject.connectionID, platform: platform, at: now)
        case .failing:
          let result = tally.failed(subject.connectionID, platform: platform, at: now)
          opens = (opens.connection || result.connection, opens.platform || result.platform)
        }
      }
    }
    switch last {
    case .alive:
      if subject.connectionIsBroken { try await close(subject, platform: false) }
      if subject.platformIsBroken, subject.sharesServer { try await close(subject, platform: true) }
    case .failing(let why):
      if opens.connection || subject.connectionIsBroken {
        try await open(subject, platform: false, why, isNew: opens.connection)
      }
      if opens.platform || (subject.platformIsBroken && subject.sharesServer) {
        try await open(subject, platform: true, why, isNew: opens.platform)
      }
    }
  }

  // MARK: Rows

  /// - Parameter isNew: Whether this host counted enough failures; else only a breaker that is not closed opens again.
  private func open(_ subject: Subject, platform isPlatform: Bool, _ why: String, isNew: Bool) async throws {
    let connection = isPlatform ? 0 : subject.connectionID
    let pause = try await pool.transaction(scope: .owner) { tx -> Double? in
      let rows = try await tx.query(
        """
        SELECT trips, opened_at, open_until, clock_timestamp() AS now FROM breakers
        WHERE platform = \(subject.platform) AND connection_id = \(connection) FOR UPDATE
        """
      )
      if let row = rows.first {
        let now: Date = try row.get("now")
        var breaker = Breaker(
          trips: Int(try row.get("trips", as: Int32.self)),
          openedAt: try row.get("opened_at"),
          openUntil: try row.get("open_until")
        )
        guard breaker.failed(at: now, settings) else { return nil }
        try await tx.execute(
          """
          UPDATE breakers SET trips = \(Int32(clamping: breaker.trips)), open_until = \(breaker.openUntil),
            last_error = \(why)
          WHERE platform = \(subject.platform) AND connection_id = \(connection)
          """
        )
        return breaker.openUntil.timeIntervalSince(now)
      }
      guard isNew else { return nil }
      let made = try await tx.query(
        """
        INSERT INTO breakers (platform, connection_id, site_id, trips, opened_at, open_until, last_error)
        VALUES (\(subject.platform), \(connection), \(isPlatform ? 0 : subject.siteID), 1, clock_timestamp(),
          clock_timestamp() + \(settings.firstPause) * interval '1 s', \(why))
        ON CONFLICT DO NOTHING RETURNING platform
        """
      )
      // Another host was first; its block stands.
      guard !made.isEmpty else { return nil }
      try await tx.execute(
        Self.event(
          "breaker.opened",
          of: "SELECT * FROM breakers WHERE platform = \(subject.platform) AND connection_id = \(connection)"
        )
      )
      return settings.firstPause
    }
    guard let pause else { return }
    logger.notice(
      "A breaker opened",
      [
        "platform": "\(subject.platform)", "connection": .int(connection), "seconds": .int(Int64(pause)),
        "why": "\(why)",
      ]
    )
    if isPlatform {
      guard let poolID = try await platformPool(subject.platform) else { return }
      try await pool.execute(
        LaneStatements.blockPool(poolID, for: .seconds(pause), .breaker, probing: .seconds(settings.probeTime))
      )
    } else {
      try await pool.execute(LaneStatements.block(subject.laneID, for: .seconds(pause), .breaker))
    }
  }

  private func close(_ subject: Subject, platform isPlatform: Bool) async throws {
    let connection = isPlatform ? 0 : subject.connectionID
    // Only a probe decides: what left before the breaker opened says nothing.
    let gone: SQL = """
      DELETE FROM breakers WHERE platform = \(subject.platform) AND connection_id = \(connection)
        AND open_until <= clock_timestamp() RETURNING *
      """
    _ = try await pool.execute(Self.event("breaker.closed", of: gone))
    let left = try await pool.query(
      "SELECT FROM breakers WHERE platform = \(subject.platform) AND connection_id = \(connection)"
    )
    guard left.isEmpty else { return }
    logger.notice("A breaker closed", ["platform": "\(subject.platform)", "connection": .int(connection)])
    guard isPlatform, let poolID = try await platformPool(subject.platform) else { return }
    try await pool.execute(LaneStatements.open(pool: poolID))
    try await pool.execute(LaneStatements.wakeLanes(of: poolID))
  }

  private func platformPool(_ platform: String) async throws -> Int64? {
    let rows = try await pool.query(
      "SELECT pool_id FROM lane_pools WHERE site_id = \(JobQueue.hostSite) AND key = \(LimitService.poolKey(platform))"
    )
    return try rows.first?.get("pool_id")
  }

  /// Writes the event of every breaker that has not closed for too long, once; any host may call it at any time.
  package func reportLong() async throws {
    try await pool.execute(
      Self.event(
        "breaker.stuck",
        of: """
          UPDATE breakers SET reported_at = clock_timestamp()
          WHERE reported_at IS NULL AND opened_at < clock_timestamp() - \(settings.longAfter) * interval '1 s'
          RETURNING *
          """
      )
    )
  }

  /// Writes an event about each of the rows: in the site of the account, or in every site that uses the platform.
  private static func event(_ kind: String, of rows: SQL) -> SQL {
    """
    WITH b AS (\(fragment: rows))
    INSERT INTO outbox (site_id, kind, subject_id, data)
    SELECT s.site_id, \(kind), b.connection_id, jsonb_build_object(
      'scope', CASE WHEN b.connection_id = 0 THEN 'platform' ELSE 'connection' END, 'platform', b.platform,
      'connectionId', nullif(b.connection_id, 0), 'openedAt', b.opened_at, 'openUntil', b.open_until, 'trips', b.trips,
      'error', b.last_error)
    FROM b CROSS JOIN LATERAL (
      SELECT b.site_id WHERE b.connection_id <> 0
      UNION
      SELECT c.site_id FROM platform_connections c
      WHERE b.connection_id = 0 AND c.platform = b.platform AND c.deleted_at IS NULL
    ) s
    """
  }
}
