import Egress
package import FoundationEssentials
import JSONText
package import JobQueue
import PluginManifest
package import Postgres

/// Writes the started row of one prepare or commit, together with the guard of the lease.
///
/// A row that comes back may be sent. A row that does not come back belongs to a lost lease, or to a delivery that was
/// paused or canceled before its first accepted commit: nothing is sent.
package struct StartEffect: BatchOperation {
  package static let rank = 10

  package var lease: Lease
  package var site: Int64
  package var record: EffectRecord
  package var nonce: UUID
  /// What the run was started with; written once per run with its first started row.
  package var inputs: RunInputs?
  /// Answers of reads since the last started row, as a JSON array of `{step, rule, digest, status, answer}`.
  ///
  /// They are stored as try 0, so that a read never takes the place of a prepare or commit with the same step name.
  package var reads: String?
  /// What those reads captured.
  package var captures: [CaptureRow] = []
  /// The run of the server that this node has examined, see ``SendPermit/server``.
  package var server: Int64?

  /// Whether the row is durable and the request may be sent.
  package typealias Output = Bool

  package static func statement(for operations: [StartEffect]) -> SQL {
    """
    WITH i AS (
      SELECT * FROM unnest(
        \(operations.map(\.lease.jobID)), \(operations.map(\.lease.fence)), \(operations.map(\.lease.nodeEpoch)),
        \(operations.map(\.site)), \(operations.map { Int32(clamping: $0.record.key.run) }),
        \(operations.map(\.record.key.step)), \(operations.map { Int32(clamping: $0.record.key.attempt) }),
        \(operations.map(\.nonce)), \(operations.map(\.record.rule)), \(operations.map(\.record.effectClass.rawValue)),
        \(operations.map(\.record.digest)),
        \(operations.map { $0.inputs?.variant }), \(operations.map { $0.inputs?.startedAt ?? $0.record.startedAt }),
        \(operations.map { $0.inputs?.seed }), \(operations.map { $0.inputs?.pluginVersion }),
        \(operations.map(\.reads))
      ) AS t(job_id, fence, node_epoch, site_id, run, step, try, nonce, rule, class, digest, variant, started_at, seed,
             plugin_version, reads)
    ),
    \(fragment: LeaseGuard.started(
      operations.map { ($0.lease, $0.record.effectClass == .commit) },
      if: mayBegin(operations)
    )),
    inputs AS (
      INSERT INTO delivery_inputs (delivery_id, run, site_id, variant, started_at, seed, plugin_version)
      SELECT i.job_id, i.run, i.site_id, i.variant::jsonb, i.started_at, i.seed, i.plugin_version
      FROM i JOIN ok USING (job_id, fence) WHERE i.variant IS NOT NULL
      ON CONFLICT DO NOTHING
    ),
    reads AS (
      INSERT INTO delivery_effects (delivery_id, run, step, try, site_id, nonce, rule, class, digest, state, outcome,
        status, answer, fence, node_epoch)
      SELECT DISTINCT ON (i.job_id, i.run, r.step) i.job_id, i.run, r.step, 0, i.site_id, i.nonce, r.rule, 'read', r.digest, 'done', 'accepted', r.status,
        r.answer, i.fence, i.node_epoch
      FROM i JOIN ok USING (job_id, fence)
      CROSS JOIN LATERAL jsonb_to_recordset(i.reads::jsonb)
        AS r(step text, rule text, digest text, status smallint, answer text)
      WHERE i.reads IS NOT NULL
      ON CONFLICT (delivery_id, run, step, try) DO UPDATE
        SET digest = excluded.digest, status = excluded.status, answer = excluded.answer
        WHERE delivery_effects.class = 'read'
    ),
    started AS (
      INSERT INTO delivery_effects (delivery_id, run, step, try, site_id, nonce, rule, class, digest, state,
        fence, node_epoch)
      SELECT i.job_id, i.run, i.step, i.try, i.site_id, i.nonce, i.rule, i.class, i.digest, 'started',
        i.fence, i.node_epoch
      FROM i JOIN ok USING (job_id, fence)
      ON CONFLICT DO NOTHING
      RETURNING nonce, delivery_id, run, site_id
    )
    \(fragment: captures(operations))
    SELECT nonce FROM started
    """
  }

  private static func mayBegin(_ operations: [StartEffect]) -> SQL {
    let servers = Set(operations.map(\.server))
    // Operations from before and after a look can meet in one statement; then none of them may begin.
    return SendGate.isOpen(server: servers.count == 1 ? servers.first ?? 0 : 0)
  }

  private static func captures(_ operations: [StartEffect]) -> SQL {
    let captures = operations.flatMap { operation in
      operation.captures.map { (nonce: operation.nonce, attempt: 0, row: $0) }
    }
    guard !captures.isEmpty else { return "" }
    return ", \(fragment: CaptureStatements.insert(captures, with: "started"))"
  }

  package static func outputs(of rows: [Row], for operations: [StartEffect]) throws -> [Bool] {
    var written = Set<UUID>(minimumCapacity: rows.count)
    for row in rows { written.insert(try row.get(0, as: UUID.self)) }
    return operations.map { written.contains($0.nonce) }
  }
}

/// What a run was started with.
package struct RunInputs: Sendable, Equatable {
  /// The variant for the account, as JSON text.
  package var variant: String
  /// The "now" that the plugin sees.
  package var startedAt: Date
  package var seed: [UInt8]
  package var pluginVersion: String

  package init(variant: String, startedAt: Date, seed: [UInt8], pluginVersion: String) {
    self.variant = variant
    self.startedAt = startedAt
    self.seed = seed
    self.pluginVersion = pluginVersion
  }
}

/// Writes the outcome of one effect. The fence guards state, never evidence: the first outcome of a row wins,
/// whoever brings it and however late.
package struct FinishEffect: BatchOperation {
  package static let rank = 20

  package var delivery: Int64
  package var record: EffectRecord
  package var nonce: UUID
  /// What was captured from the answer; stored only with the outcome itself.
  package var captures: [CaptureRow] = []

  /// Whether this outcome was the first.
  package typealias Output = Bool

  package static func statement(for operations: [FinishEffect]) -> SQL {
    let update = update(operations)
    let captures = operations.flatMap { operation in
      operation.captures.map { (nonce: operation.nonce, attempt: operation.record.key.attempt, row: $0) }
    }
    guard !captures.isEmpty else { return update }
    return """
      WITH done AS (\(fragment: update)),
      \(fragment: CaptureStatements.insert(captures, with: "done"))
      SELECT nonce FROM done
      """
  }

  private static func update(_ operations: [FinishEffect]) -> SQL {
    """
    UPDATE delivery_effects e SET state = 'done', outcome = i.outcome, status = i.status, answer = i.answer,
      remote_id = i.remote_id, remote_url = i.remote_url, sent_at = i.sent_at, last_byte_at = i.last_byte_at, platform_date = i.platform_date
    FROM unnest(
      \(operations.map(\.delivery)), \(operations.map { Int32(clamping: $0.record.key.run) }),
      \(operations.map(\.record.key.step)), \(operations.map { Int32(clamping: $0.record.key.attempt) }),
      \(operations.map(\.nonce)), \(operations.map { ($0.record.outcome ?? .unknown).rawValue }),
      \(operations.map { $0.record.status.map(Int16.init(clamping:)) }), \(operations.map(\.record.answer)),
      \(operations.map(\.record.remoteID)), \(operations.map(\.record.remoteURL)),
      \(operations.map(\.record.sentAt)),
      \(operations.map(\.record.lastByteAt)), \(operations.map(\.record.platformDate))
    ) AS i(delivery_id, run, step, try, nonce, outcome, status, answer, remote_id, remote_url, sent_at, last_byte_at,
      platform_date)
    WHERE e.delivery_id = i.delivery_id AND e.run = i.run AND e.step = i.step AND e.try = i.try AND e.nonce = i.nonce
      AND e.state = 'started'
    RETURNING e.nonce, e.delivery_id, e.run, e.site_id
    """
  }

  package static func outputs(of rows: [Row], for operations: [FinishEffect]) throws -> [Bool] {
    var written = Set<UUID>(minimumCapacity: rows.count)
    for row in rows { written.insert(try row.get(0, as: UUID.self)) }
    return operations.map { written.contains($0.nonce) }
  }
}

/// Stores why a delivery was put off while its job goes back to the queue. What is partly out is marked, so that pause
/// and cancel no longer stop it.
struct PutOffDelivery: BatchOperation {
  /// Before the queue moves the job in the same transaction.
  static let rank = 25

  var lease: Lease
  var isLive: Bool
  /// Nil when nothing went wrong, such as while the platform is at work.
  var problem: DeliveryProblem?
  /// Whether the attempt used the account's credentials.
  var usedCredentials = false

  typealias Output = Void

  static func statement(for operations: [PutOffDelivery]) -> SQL {
    let notes = operations.filter { $0.problem != nil || $0.usedCredentials }
    return """
      WITH \(fragment: LeaseGuard.held(notes.map(\.lease))),
      \(fragment: LeaseGuard.markLive(operations.filter(\.isLive).map(\.lease.jobID))),
      reason AS (
        UPDATE deliveries d SET error = coalesce(i.error::jsonb, d.error),
          credential_run = CASE WHEN i.used_credentials THEN d.run ELSE d.credential_run END
        FROM g JOIN unnest(\(notes.map(\.lease.jobID)), \(notes.map { $0.problem?.json().text }),
          \(notes.map(\.usedCredentials))) AS i(job_id, error, used_credentials) USING (job_id)
        WHERE d.id = i.job_id AND d.ended_as IS NULL
      )
      SELECT
      """
  }

  static func outputs(of rows: [Row], for operations: [PutOffDelivery]) throws -> [Void] {
    operations.map { _ in }
  }
}
