import HTTPServer
import Logging
import Postgres
import ServiceTree
import TestSupport
import Testing

@testable import Events

@Suite(.database, .timeLimit(.minutes(15))) struct EventHubTests {
  private func hub(_ pool: Pool) -> EventHub {
    EventHub(pool: pool, pollInterval: .milliseconds(5), logger: Logger(sink: MemorySink()))
  }

  private func insert(_ number: Int, site: Int64 = 1) -> SQL {
    """
    INSERT INTO outbox (site_id, kind, subject_id, data)
    VALUES (\(site), 'test', \(Int64(number)), jsonb_build_object('n', \(Int32(number))))
    """
  }

  /// The numbers of the events that a client gets at once.
  private func prelude(_ response: HTTPResponse) throws -> [String] {
    guard case .events(let subscription) = response.body else { throw Failure() }
    return subscription.prelude.map { $0.event == "gap" ? "gap" : $0.data }
  }

  private struct Failure: Error {}

  /// Asks until there are as many events as expected: a transaction of any other test holds events back.
  private func prelude(_ hub: EventHub, site: Int64, after id: String, count: Int) async throws -> [String] {
    while true {
      let events = try prelude(try await hub.stream(site: site, lastEventID: id))
      if events.count >= count { return events }
      await Task.yield()
    }
  }

  private func data(_ numbers: [Int]) -> [String] { numbers.map { #"{"n": \#($0)}"# } }

  @Test func positionsAreReadStrictly() {
    #expect(EventHub.Position("12-7") == EventHub.Position(transaction: 12, id: 7))
    #expect(EventHub.Position(EventHub.Position(transaction: 12, id: 7).text)?.text == "12-7")
    for text in ["", "-", "12", "12-", "a-b", "1-2-3", "99999999999999999999-1"] {
      #expect(EventHub.Position(text) == nil, "\(text)")
    }
    #expect(EventHub.Position(transaction: 1, id: 9) < EventHub.Position(transaction: 2, id: 1))
  }

  @Test func goesOnAfterTheLastEvent() async throws {
    try await TestDatabase.current.withPool { pool in
      let hub = hub(pool)
      for number in 1...5 { try await pool.execute(insert(number)) }
      try await pool.execute(insert(99, site: 2))
      let rows = try await pool.query("SELECT xid::text AS xid, id FROM outbox WHERE subject_id = 2")
      let id = "\(try rows[0].get("xid", as: String.self))-\(try rows[0].get("id", as: Int64.self))"
      #expect(try await prelude(hub, site: 1, after: id, count: 3) == data([3, 4, 5]))
      #expect(try await prelude(hub, site: 1, after: "0-0", count: 5) == data([1, 2, 3, 4, 5]))
      #expect(try await prelude(hub, site: 2, after: "0-0", count: 1) == data([99]))
      #expect(try prelude(try await hub.stream(site: 1, lastEventID: nil)).isEmpty)
    }
  }

  @Test func whatBelongsToNoSiteReachesEverybody() async throws {
    try await TestDatabase.current.withPool { pool in
      let hub = hub(pool)
      for (number, site) in [(1, 1), (2, 0), (3, 2), (4, 1)] {
        try await pool.execute(insert(number, site: Int64(site)))
      }
      #expect(try await prelude(hub, site: 1, after: "0-0", count: 3) == data([1, 2, 4]))
      #expect(try await prelude(hub, site: 2, after: "0-0", count: 2) == data([2, 3]))
    }
  }

  @Test func whatIsTooFarBackIsAGap() async throws {
    try await TestDatabase.current.withPool { pool in
      let hub = hub(pool)
      try await pool.execute(
        "INSERT INTO outbox (site_id, kind, subject_id, data) SELECT 1, 'test', n, '{}' FROM generate_series(1, 2001) n"
      )
      #expect(try await prelude(hub, site: 1, after: "0-0", count: 1) == ["gap"])
      #expect(try prelude(try await hub.stream(site: 1, lastEventID: "nonsense")) == ["gap"])
      try await pool.execute("DELETE FROM outbox WHERE subject_id = 1")
      #expect(try await prelude(hub, site: 1, after: "0-0", count: 1).count == 2000)
    }
  }

  @Test func whatIsOldIsRemovedAndWhoMissedItIsTold() async throws {
    try await TestDatabase.current.withPool { pool in
      let hub = hub(pool)
      for number in 1...4 { try await pool.execute(insert(number)) }
      let ids = try await pool.query("SELECT (xid::text || '-' || id) AS place FROM outbox ORDER BY id").map {
        try $0.get("place", as: String.self)
      }
      #expect(try await prelude(hub, site: 1, after: ids[0], count: 3) == data([2, 3, 4]))
      try await pool.execute("UPDATE outbox SET created_at = now() - interval '31 days' WHERE subject_id <= 2")
      #expect(try await OutboxRetention(pool: pool).clean() == 2)
      #expect(try prelude(try await hub.stream(site: 1, lastEventID: ids[0])) == ["gap"])
      #expect(try await prelude(hub, site: 1, after: ids[2], count: 1) == data([4]))
      #expect(try await OutboxRetention(pool: pool).clean() == 0)
    }
  }

  /// A transaction that began before another one and commits after it: its event comes later, but it comes.
  @Test func aLateCommitIsNeverSkipped() async throws {
    try await TestDatabase.current.withPool { pool in
      let hub = hub(pool)
      var seen: [String] = []
      var lastID = "0-0"
      func read() async throws {
        guard case .events(let subscription) = try await hub.stream(site: 1, lastEventID: lastID).body else { return }
        seen += subscription.prelude.map(\.data)
        lastID = subscription.prelude.last?.id ?? lastID
      }
      try await pool.withSession { slow in
        try await slow.transaction { tx in
          try await tx.execute(insert(1))
          try await pool.execute(insert(2))
          // The second is durable, but the first would be lost behind it.
          try await read()
          #expect(seen.isEmpty)
        }
      }
      while seen.count < 2 { try await read() }
      #expect(seen == data([1, 2]))
      try await pool.execute(insert(3))
      while seen.count < 3 { try await read() }
      #expect(seen == data([1, 2, 3]))
    }
  }

  @Test func manyWritersLoseNothing() async throws {
    try await TestDatabase.current.withPool(size: 8) { pool in
      let hub = hub(pool)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for writer in 0..<6 {
          group.addTask {
            for number in 0..<20 {
              try await pool.transaction { tx in
                try await tx.execute(insert(writer * 100 + number))
                if number % 3 == 0 { _ = try await tx.query("SELECT pg_sleep(0.002)") }
              }
            }
          }
        }
        var seen: [String] = []
        var lastID = "0-0"
        while seen.count < 120 {
          guard case .events(let subscription) = try await hub.stream(site: 1, lastEventID: lastID).body else { break }
          seen += subscription.prelude.map(\.data)
          lastID = subscription.prelude.last?.id ?? lastID
        }
        try await group.waitForAll()
        #expect(Set(seen).count == 120)
        #expect(seen.count == 120)
      }
    }
  }

  /// From the moment a client is connected it hears of everything, also as the first client of the host.
  @Test func theFirstWatcherMissesNothing() async throws {
    try await TestDatabase.current.withPool { pool in
      let hub = hub(pool)
      let before = try await hub.stream(site: 1, lastEventID: nil)
      guard case .events(let subscription) = before.body else { throw Failure() }
      // Committed before the hub looked for the first time.
      try await pool.execute(insert(1))
      let shutdown = Shutdown()
      let running = Task { try await Shutdown.$current.withValue(shutdown) { try await hub.run() } }
      while subscription.channel.end == subscription.position { await Task.yield() }
      shutdown.request()
      try await running.value
      #expect(subscription.channel.end != subscription.position)
    }
  }

  @Test func aChannelGoesWithItsLastWatcher() async throws {
    try await TestDatabase.current.withPool { pool in
      let hub = hub(pool)
      var watching: [HTTPResponse] = []
      for site in [1, 1, 2] as [Int64] { watching.append(try await hub.stream(site: site, lastEventID: nil)) }
      #expect(hub.watchedSites == 2)
      watching.removeFirst()
      #expect(hub.watchedSites == 2)
      watching = []
      #expect(hub.watchedSites == 0)
      // Who comes when nobody was there hears of what happens from then on.
      try await pool.execute(insert(1))
      guard case .events(let subscription) = try await hub.stream(site: 1, lastEventID: nil).body else {
        throw Failure()
      }
      try await pool.execute(insert(2))
      let shutdown = Shutdown()
      let running = Task { try await Shutdown.$current.withValue(shutdown) { try await hub.run() } }
      while subscription.channel.end == subscription.position { await Task.yield() }
      shutdown.request()
      try await running.value
    }
  }
}
