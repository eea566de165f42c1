package import FoundationEssentials
package import Postgres

/// What a host finds when it looks at its database.
package struct DatabaseFacts: Sendable, Equatable {
  /// A database as a thing: a copy of it is another one.
  package struct Identity: Sendable, Equatable {
    /// Of the server's data, made by `initdb`.
    package var system: Int64
    package var database: Int64
    /// Of a table, which is new after a restored dump.
    package var table: Int64

    package init(system: Int64, database: Int64, table: Int64) {
      self.system = system
      self.database = database
      self.table = table
    }
  }

  /// What hosts wrote down at an earlier look.
  package struct Record: Sendable, Equatable {
    package var identity: Identity
    package var timeline: Int64

    package init(identity: Identity, timeline: Int64) {
      self.identity = identity
      self.timeline = timeline
    }
  }

  package var installation: UUID
  package var identity: Identity
  package var isInRecovery = false
  /// Counts promotions of standbys.
  package var timeline: Int64
  /// How many bytes of the write-ahead log are on the server's disk.
  package var flushed: Int64
  /// The fence of the newest claim.
  package var fence: Int64
  /// When the server was started, in microseconds since 1970.
  package var startedAt: Int64
  /// Whether no commit is answered before a standby has it too.
  package var isSynchronous: Bool
  package var record: Record?
  /// The newest mark in the database: what happened later may be missing in it.
  package var knownUntil: Date?
  /// When a person last ended a hold.
  package var holdEndedAt: Date?

  package init(
    installation: UUID,
    identity: Identity,
    isInRecovery: Bool = false,
    timeline: Int64,
    flushed: Int64,
    fence: Int64,
    startedAt: Int64,
    isSynchronous: Bool = false,
    record: Record? = nil,
    knownUntil: Date? = nil,
    holdEndedAt: Date? = nil
  ) {
    self.installation = installation
    self.identity = identity
    self.isInRecovery = isInRecovery
    self.timeline = timeline
    self.flushed = flushed
    self.fence = fence
    self.startedAt = startedAt
    self.isSynchronous = isSynchronous
    self.record = record
    self.knownUntil = knownUntil
    self.holdEndedAt = holdEndedAt
  }

  /// The statement whose row ``init(row:)`` reads. A standby has no write-ahead log of its own to ask about.
  package static let statement: SQL = """
    SELECT i.id, i.system_identifier, i.database_oid, i.table_oid, i.timeline AS recorded_timeline,
      c.system_identifier AS system, d.oid::int8 AS database, i.tableoid::int8 AS found_table, r.in_recovery,
      CASE WHEN NOT r.in_recovery THEN \(fragment: ServerExpression.timeline) ELSE 0 END AS timeline,
      CASE WHEN NOT r.in_recovery THEN \(fragment: ServerExpression.flushed) ELSE 0 END AS flushed,
      (SELECT s.last_value FROM lease_fences s) AS fence, \(fragment: ServerExpression.startedAt) AS started_at,
      current_setting('synchronous_standby_names') <> ''
        AND current_setting('synchronous_commit') IN ('on', 'remote_apply') AS synchronous,
      (SELECT max(m.marked_at) FROM node_marks m) AS known_until,
      (SELECT max(h.ended_at) FROM holds h) AS hold_ended_at
    FROM installation i CROSS JOIN pg_control_system() c CROSS JOIN (SELECT pg_is_in_recovery() AS in_recovery) r
    JOIN pg_database d ON d.datname = current_database()
    """

  /// Reads a row of ``statement``.
  package init(row: Row) throws {
    installation = try row.get("id")
    identity = Identity(
      system: try row.get("system"),
      database: try row.get("database"),
      table: try row.get("found_table")
    )
    isInRecovery = try row.get("in_recovery")
    timeline = try row.get("timeline")
    flushed = try row.get("flushed")
    fence = try row.get("fence")
    startedAt = try row.get("started_at")
    isSynchronous = try row.get("synchronous")
    knownUntil = try row.get("known_until")
    holdEndedAt = try row.get("hold_ended_at")
    if let system: Int64 = try row.get("system_identifier"), let database: Int64 = try row.get("database_oid"),
      let table: Int64 = try row.get("table_oid"), let timeline: Int64 = try row.get("recorded_timeline")
    {
      record = Record(identity: Identity(system: system, database: database, table: table), timeline: timeline)
    }
  }
}

/// Facts of the server that serves a statement.
package enum ServerExpression {
  /// When it was started: no two servers, and no two runs of one, have the same.
  package static let startedAt: SQL = "(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::int8"
  package static let timeline: SQL =
    "('x' || lpad(substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8), 16, '0'))::bit(64)::int8"
  package static let flushed: SQL = "(pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::int8"
}
