import Cryptography
import Egress
import FoundationEssentials
import HTTPClient
import JobQueue
import Logging
import Outbox
import Postgres
import ServiceTree
import TestSupport
import Testing
import Vault

import struct WebhookEndpoints.WebhookEndpoints

@testable import WebhookEndpoints

/// Webhooks over a real database and a running queue; receivers are small servers of the tests.
struct WebhookFixture: Sendable {
  let pool: Pool
  let webhooks: WebhookEndpoints
  let queue: JobQueue
  let reader: OutboxReader
  let site: Int64
  let otherSite: Int64

  /// - Parameter allow: Addresses that the operator allows.
  static func run(allow: String = "127.0.0.1", _ body: (WebhookFixture) async throws -> Void) async throws {
    try await TestDatabase.current.withPool(size: 8) { pool in
      let logger = Logger(sink: MemorySink())
      let vault = try await Vault(
        pool: pool,
        keyring: Keyring(Secret("1:\(Base64.encode([UInt8](repeating: 1, count: 32)))"))
      )
      let policy = try AddressPolicy(allow: allow, overrides: "")
      let client = try HTTPClient()
      let sender = WebhookSender(pool: pool, vault: vault, client: client, policy: policy, slots: 16, logger: logger)
      var settings = QueueSettings(home: "test")
      settings.slots = 16
      let queue = JobQueue(
        settings: settings,
        database: pool.configuration,
        pool: pool,
        handlers: [WebhookSender.kind: sender],
        logger: logger
      )
      sender.follow(queue)
      var sites: [Int64] = []
      for name in ["One", "Two"] {
        sites.append(try await pool.query("INSERT INTO sites (name) VALUES (\(name)) RETURNING id")[0].get(0))
      }
      let fixture = WebhookFixture(
        pool: pool,
        webhooks: WebhookEndpoints(pool: pool, vault: vault, policy: policy),
        queue: queue,
        reader: OutboxReader(
          reader: "webhooks",
          pool: pool,
          logger: logger,
          taken: { queue.wake() },
          consume: WebhookQueue.consume
        ),
        site: sites[0],
        otherSite: sites[1]
      )
      let shutdown = Shutdown()
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await Shutdown.$current.withValue(shutdown) { try await queue.run() } }
        let result: Result<Void, any Error>
        do {
          result = .success(try await body(fixture))
        } catch {
          result = .failure(error)
        }
        shutdown.request()
        try await group.waitForAll()
        try result.get()
      }
      await client.close(within: .seconds(5))
    }
  }

  func emit(_ kind: String, subject: Int64 = 1, site: Int64? = nil) async throws {
    try await pool.execute(
      """
      INSERT INTO outbox (site_id, kind, subject_id, data)
      VALUES (\(site ?? self.site), \(kind), \(subject), jsonb_build_object('id', \(subject)::bigint))
      """
    )
  }

  /// Reads the outbox until every event stands before the reader's place.
  func drain() async throws {
    while true {
      while try await reader.step() {}
      let left = try await pool.query(
        "SELECT FROM outbox o, outbox_readers r WHERE r.name = 'webhooks' AND (o.xid, o.id) > (r.transaction, r.id)"
      )
      if left.isEmpty { return }
      await Task.yield()
    }
  }

  func makeEndpoint(_ url: String, types: [String] = [], host: Bool = false) async throws -> (WebhookEndpoint, Secret) {
    let made = try await webhooks.create(
      WebhookEndpoints.Change(url: url, eventTypes: types, takesHostEvents: host),
      site: site,
      user: nil
    )
    return (made.endpoint, made.secret)
  }

  /// The messages of an endpoint, oldest first.
  func messages(_ endpoint: Int64) async throws -> [WebhookMessage] {
    try await webhooks.messages(of: endpoint, site: site, limit: 1_000).reversed()
  }

  /// Waits until every message has ended, or has been tried.
  func settle(_ endpoint: Int64, tried: Bool = false) async throws -> [WebhookMessage] {
    while true {
      let messages = try await messages(endpoint)
      if messages.allSatisfy({ $0.state != .pending || (tried && $0.attempts > 0) }) { return messages }
      await Task.yield()
    }
  }
}
