import Logging
import Postgres
import Synchronization
import TestSupport
import Testing

@testable import Outbox

@Suite(.database, .timeLimit(.minutes(15))) struct OutboxReaderTests {
  private final class Seen: Sendable {
    let numbers = Mutex<[Int64]>([])

    var all: [Int64] { numbers.withLock { $0 } }
  }

  private struct Stop: Error {}

  private func reader(_ pool: Pool, _ seen: Seen, fails: @escaping @Sendable () -> Bool = { false }) -> OutboxReader {
    OutboxReader(reader: "notices", pool: pool, logger: Logger(sink: MemorySink())) { events, tx in
      try await tx.execute(
        """
        INSERT INTO periodic_fires (name, fire_at)
        SELECT 'n' || n, now() FROM unnest(\(events.map(\.subject))) AS n
        """
      )
      if fails() { throw Stop() }
      seen.numbers.withLock { $0 += events.map(\.subject) }
    }
  }

  private func insert(_ number: Int64, site: Int64 = 1) -> SQL {
    "INSERT INTO outbox (site_id, kind, subject_id, data) VALUES (\(site), 'a.b', \(number), '{\"n\": 1}')"
  }

  /// A transaction of any other test holds events back for a moment.
  private func drain(_ reader: OutboxReader, _ seen: Seen, until count: Int) async throws {
    while seen.all.count < count {
      _ = try await reader.step()
      await Task.yield()
    }
  }

  @Test func bringsEachEventOnceInOrder() async throws {
    try await TestDatabase.current.withPool { pool in
      let seen = Seen()
      let reader = reader(pool, seen)
      for number in 1...450 { try await pool.execute(insert(Int64(number))) }
      try await drain(reader, seen, until: 450)
      #expect(seen.all == Array(1...450))
      #expect(try await !reader.step())
      try await pool.execute(insert(451))
      try await drain(reader, seen, until: 451)
      #expect(seen.all == Array(1...451))
    }
  }

  @Test func whatTheConsumerCouldNotStoreComesAgain() async throws {
    try await TestDatabase.current.withPool { pool in
      let seen = Seen()
      let failures = Mutex(2)
      let reader = reader(pool, seen) {
        failures.withLock { left in
          left -= 1
          return left >= 0
        }
      }
      try await pool.execute(insert(7))
      while seen.all.isEmpty {
        do {
          _ = try await reader.step()
        } catch is Stop {
          // Nothing of the failed try may be left.
          #expect(try await pool.query("SELECT FROM periodic_fires WHERE name = 'n7'").isEmpty)
        }
      }
      #expect(seen.all == [7])
      #expect(try await pool.query("SELECT FROM periodic_fires WHERE name = 'n7'").count == 1)
    }
  }

  @Test func twoReadersOfOneNameShareTheWork() async throws {
    try await TestDatabase.current.withPool(size: 6) { pool in
      let seen = Seen()
      let readers = [reader(pool, seen), reader(pool, seen)]
      for number in 1...300 { try await pool.execute(insert(Int64(number))) }
      try await withThrowingTaskGroup(of: Void.self) { group in
        for reader in readers { group.addTask { try await drain(reader, seen, until: 300) } }
        try await group.waitForAll()
      }
      #expect(seen.all == Array(1...300))
    }
  }

  @Test func aLateCommitIsNotSkipped() async throws {
    try await TestDatabase.current.withPool(size: 4) { pool in
      let seen = Seen()
      let reader = reader(pool, seen)
      try await pool.withSession { slow in
        try await slow.transaction { tx in
          try await tx.execute(insert(1))
          try await pool.execute(insert(2))
          _ = try await reader.step()
          #expect(seen.all.isEmpty)
        }
      }
      try await drain(reader, seen, until: 2)
      #expect(seen.all == [1, 2])
    }
  }

  /// `pg_restore` brings rows with the numbers of the old server's transactions into one that counts from the start.
  @Test func goesOnInAnotherCluster() async throws {
    try await TestDatabase.current.withPool { pool in
      let seen = Seen()
      let reader = reader(pool, seen)
      for number in 1...3 { try await pool.execute(insert(Int64(number))) }
      try await drain(reader, seen, until: 3)
      // As if all that had happened in a cluster with far more transactions; two events were not read there.
      try await pool.execute(insert(4))
      try await pool.execute(insert(5))
      try await pool.execute(
        "UPDATE outbox SET xid = (('900000000000'::bigint + subject_id)::text)::xid8"
      )
      try await pool.execute(
        """
        UPDATE outbox_readers r SET transaction = o.xid, id = o.id FROM outbox o WHERE o.subject_id = 3
        """
      )
      try await drain(reader, seen, until: 5)
      #expect(seen.all == [1, 2, 3, 4, 5])
      try await pool.execute(insert(6))
      try await drain(reader, seen, until: 6)
      #expect(seen.all == [1, 2, 3, 4, 5, 6])
    }
  }
}
