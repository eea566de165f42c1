package import Logging
package import Postgres
internal import ServiceTree

/// Brings every event of the outbox to one consumer, once, in the order of transactions.
///
/// The consumer writes in the transaction that moves the reader's place. A host that is killed in between has done
/// neither; another host, or the next start, goes on at the same event. Of several hosts one reads at a time.
package struct OutboxReader: Service {
  /// Writes what follows from the events, in their order.
  package typealias Consumer = @Sendable ([OutboxEvent], Transaction) async throws -> Void

  package let name: String
  private let reader: String
  private let pool: Pool
  private let interval: Duration
  private let logger: Logger
  private let consume: Consumer
  /// Called after the events were taken and the transaction was committed.
  private let taken: @Sendable () -> Void

  /// Events of one transaction.
  package static let pageSize = 200

  /// - Parameters:
  ///   - reader: The row in `outbox_readers`.
  ///   - interval: The time between two looks while there is nothing to do.
  package init(
    reader: String,
    pool: Pool,
    interval: Duration = .milliseconds(200),
    logger: Logger,
    taken: @escaping @Sendable () -> Void = {},
    consume: @escaping Consumer
  ) {
    name = "outbox-\(reader)"
    self.reader = reader
    self.pool = pool
    self.interval = interval
    self.logger = logger
    self.taken = taken
    self.consume = consume
  }

  package func run() async throws {
    let shutdown = Shutdown.current
    repeat {
      do {
        while try await step(), !shutdown.isRequested {}
      } catch {
        logger.warning("The outbox could not be read", ["reader": "\(reader)", "error": "\(error)"])
      }
    } while await shutdown.sleep(for: interval)
  }

  /// Takes one page; answers whether there may be more.
  package func step() async throws -> Bool {
    guard try await hasNews() else { return false }
    let count = try await pool.transaction { tx in
      let places = try await tx.query(
        """
        SELECT transaction::text AS transaction, id, transaction > pg_current_xact_id() AS is_ahead
        FROM outbox_readers WHERE name = \(reader) FOR UPDATE SKIP LOCKED
        """
      )
      // Another host reads at this moment.
      guard let place = places.first else { return 0 }
      let transaction: String = try place.get("transaction")
      let id: Int64 = try place.get("id")
      if try place.get("is_ahead", as: Bool.self) {
        try await rebase(tx)
        return Self.pageSize
      }
      let rows = try await tx.query(
        """
        SELECT \(fragment: OutboxEvent.columns), o.xid::text AS transaction, o.id FROM outbox o
        WHERE (o.xid, o.id) > (\(transaction)::xid8, \(id)) AND o.xid < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY o.xid, o.id LIMIT \(Int64(Self.pageSize))
        """
      )
      guard let last = rows.last else { return 0 }
      try await consume(try rows.map { row throws(PostgresError) in try OutboxEvent(row) }, tx)
      try await tx.execute(
        """
        UPDATE outbox_readers SET transaction = \(try last.get("transaction", as: String.self))::xid8,
          id = \(try last.get("id", as: Int64.self)) WHERE name = \(reader)
        """
      )
      return rows.count
    }
    if count > 0 { taken() }
    return count == Self.pageSize
  }

  /// Whether there is anything to do, without a lock.
  private func hasNews() async throws -> Bool {
    try await !pool.query(
      """
      SELECT FROM outbox_readers r WHERE r.name = \(reader) AND (r.transaction >= pg_snapshot_xmax(pg_current_snapshot())
        OR EXISTS (SELECT FROM outbox o WHERE (o.xid, o.id) > (r.transaction, r.id)
          AND o.xid < pg_snapshot_xmin(pg_current_snapshot())))
      """
    ).isEmpty
  }

  /// Puts all places right after the database was restored into another cluster, whose transactions count from the
  /// beginning: what every reader has read lies before everything, the rest is read next.
  ///
  /// A reader that was ahead of another one reads some events a second time, and none is skipped.
  private func rebase(_ tx: Transaction) async throws {
    logger.notice("The outbox comes from another database server; its readers go on", ["reader": "\(reader)"])
    let rows = try await tx.query(
      "SELECT transaction::text AS transaction, id FROM outbox_readers ORDER BY transaction, id FOR UPDATE"
    )
    guard let last = rows.first else { return }
    let (transaction, id): (String, Int64) = (try last.get("transaction"), try last.get("id"))
    try await tx.batch([
      // The oldest number that a transaction can have.
      "UPDATE outbox SET xid = '3'::xid8 WHERE (xid, id) <= (\(transaction)::xid8, \(id))",
      """
      UPDATE outbox_readers SET transaction = '3'::xid8,
        id = (SELECT coalesce(max(id), 0) FROM outbox WHERE xid = '3'::xid8)
      """,
      "UPDATE outbox SET xid = pg_current_xact_id() WHERE xid > pg_current_xact_id()",
    ])
  }
}
