import Cryptography
import Egress
import FoundationEssentials
import JSONDocument
import JobQueue
import Postgres
import TestSupport
import Testing

import struct WebhookEndpoints.WebhookEndpoints

@testable import WebhookEndpoints

@Suite(.database, .timeLimit(.minutes(15))) struct WebhookSenderTests {
  private func withReceiver(_ body: (Receiver) async throws -> Void) async throws {
    let receiver = try Receiver()
    receiver.start()
    defer { receiver.stop() }
    try await body(receiver)
  }

  /// Checks a request as a receiver does.
  private func isSigned(_ request: Receiver.Request, by secret: Secret) throws -> Bool {
    let id = try #require(request.headers["webhook-id"])
    let seconds = try #require(request.headers["webhook-timestamp"].flatMap { Int64($0) })
    let expected = StandardWebhooks.headers(id: id, seconds: seconds, body: request.body, secret: secret)
    let signature = try #require(expected?.first { $0.0 == "webhook-signature" }?.1)
    return request.headers["webhook-signature"]?.split(separator: " ").map(String.init).contains(signature) ?? false
  }

  @Test func sendsSignedEventsInOrder() async throws {
    try await withReceiver { receiver in
      try await WebhookFixture.run { webhooks in
        let (endpoint, secret) = try await webhooks.makeEndpoint(receiver.url)
        for number in 1...20 { try await webhooks.emit("delivery.sent", subject: Int64(number)) }
        try await webhooks.emit("delivery.sent", subject: 99, site: webhooks.otherSite)
        try await webhooks.emit("plugin.crashed", subject: 98, site: 0)
        try await webhooks.drain()
        let messages = try await webhooks.settle(endpoint.id)
        #expect(messages.count == 20)
        #expect(messages.allSatisfy { $0.state == .delivered && $0.attempts == 1 })
        let requests = receiver.received
        let subjects = try requests.map { try JSONValue.parse($0.body).pointer("/data/id")?.int64Value }
        #expect(subjects == (1...20).map { Int64($0) })
        for (request, message) in zip(requests, messages) {
          let body = try JSONValue.parse(request.body)
          let isGenuine = try isSigned(request, by: secret)
          #expect(isGenuine)
          #expect(request.headers["webhook-id"] == message.eventID)
          #expect(body["id"]?.stringValue == message.eventID)
          #expect(body["type"]?.stringValue == "delivery.sent")
          #expect(body["version"]?.int64Value == 1)
          #expect(body["siteId"]?.int64Value == webhooks.site)
          #expect(request.headers["content-type"] == "application/json")
        }
        #expect(Set(messages.map(\.eventID)).count == 20)
      }
    }
  }

  @Test func sendsOnlyWhatIsWanted() async throws {
    try await withReceiver { receiver in
      try await WebhookFixture.run { webhooks in
        let (endpoint, _) = try await webhooks.makeEndpoint(
          receiver.url,
          types: ["delivery.failed", "plugin.*"],
          host: true
        )
        for kind in ["delivery.sent", "delivery.failed", "distribution.created"] { try await webhooks.emit(kind) }
        try await webhooks.emit("plugin.quarantined", site: 0)
        try await webhooks.emit("notice.opened", site: 0)
        try await webhooks.drain()
        let kinds = try await webhooks.settle(endpoint.id).map(\.kind)
        #expect(kinds == ["delivery.failed", "plugin.quarantined"])
      }
    }
  }

  @Test func aFailureIsTriedAgainWithTheSameIDAndLogged() async throws {
    try await withReceiver { receiver in
      receiver.answers { _, count in
        count == 1 ? Receiver.Answer(status: 500, body: "bad \u{1B}[1mnews") : Receiver.Answer(body: "fine")
      }
      try await WebhookFixture.run { webhooks in
        let (endpoint, _) = try await webhooks.makeEndpoint(receiver.url)
        try await webhooks.emit("delivery.sent")
        try await webhooks.drain()
        let tried = try await webhooks.settle(endpoint.id, tried: true)
        #expect(tried[0].state == .pending)
        let job: Int64 = try await webhooks.pool.query("SELECT job_id FROM event_deliveries")[0].get(0)
        while try await webhooks.queue.reschedule([job], to: Date()) == 0 { await Task.yield() }
        let message = try #require(try await webhooks.settle(endpoint.id).first)
        #expect(message.state == .delivered)
        #expect(message.attempts == 2)
        let ids = receiver.received.map { $0.headers["webhook-id"] }
        #expect(ids == [message.eventID, message.eventID])
        #expect(receiver.received[0].body == receiver.received[1].body)
        let log = try await webhooks.webhooks.message(message.id, of: endpoint.id, site: webhooks.site).attempts
        #expect(log.map(\.status) == [200, 500])
        #expect(log[0].answer == "fine")
        #expect(log[0].error == nil)
        #expect(log[1].answer == "bad \u{FFFD}[1mnews")
        let after = try await webhooks.webhooks.endpoint(endpoint.id, site: webhooks.site)
        #expect(after.failures == 0)
        #expect(after.failingSince == nil)
        #expect(after.lastSuccessAt != nil)
      }
    }
  }

  @Test func goneSwitchesOffAndSaysSo() async throws {
    try await withReceiver { receiver in
      receiver.answers { _, _ in Receiver.Answer(status: 410) }
      try await WebhookFixture.run { webhooks in
        let (endpoint, _) = try await webhooks.makeEndpoint(receiver.url)
        for number in 1...3 { try await webhooks.emit("delivery.sent", subject: Int64(number)) }
        try await webhooks.drain()
        let messages = try await webhooks.settle(endpoint.id)
        #expect(messages.allSatisfy { $0.state == .failed })
        // The others were not sent any more.
        #expect(receiver.received.count == 1)
        let after = try await webhooks.webhooks.endpoint(endpoint.id, site: webhooks.site)
        #expect(!after.isActive)
        #expect(after.disabledReason == "gone")
        let events = try await webhooks.pool.query("SELECT FROM outbox WHERE kind = 'webhook.disabled'")
        #expect(events.count == 1)
        await #expect(throws: WebhookError.self) {
          try await webhooks.webhooks.test(endpoint.id, site: webhooks.site)
        }

        // What it missed meanwhile, and what failed, comes once it is on again.
        try await webhooks.emit("delivery.failed", subject: 4)
        try await webhooks.drain()
        receiver.answers { _, _ in Receiver.Answer() }
        let change = WebhookEndpoints.Change(isActive: true)
        let again = try await webhooks.webhooks.update(endpoint.id, with: change, site: webhooks.site)
        #expect(again.isActive)
        #expect(again.disabledReason == nil)
        try await webhooks.drain()
        let since = Date(timeIntervalSinceNow: -3_600)
        let (count, hasMore) = try await webhooks.webhooks.replay(since: since, of: endpoint.id, site: webhooks.site)
        webhooks.queue.wake()
        #expect(!hasMore)
        let all = try await webhooks.settle(endpoint.id)
        #expect(all.allSatisfy { $0.state == .delivered })
        let sent = try receiver.received.dropFirst().map { try JSONValue.parse($0.body) }
        let deliveries = sent.filter { $0["type"]?.stringValue?.hasPrefix("delivery.") == true }
        #expect(Set(deliveries.compactMap { $0.pointer("/data/id")?.int64Value }) == [1, 2, 3, 4])
        #expect(count >= 4)
        // Nothing is left to replay.
        let rest = try await webhooks.webhooks.replay(since: since, of: endpoint.id, site: webhooks.site)
        #expect(rest.count == 0)
      }
    }
  }

  @Test func oneMessageIsReplayedWithItsID() async throws {
    try await withReceiver { receiver in
      try await WebhookFixture.run { webhooks in
        let (endpoint, _) = try await webhooks.makeEndpoint(receiver.url)
        let number = try await webhooks.webhooks.test(endpoint.id, site: webhooks.site)
        webhooks.queue.wake()
        _ = try await webhooks.settle(endpoint.id)
        try await webhooks.webhooks.replay(message: number, of: endpoint.id, site: webhooks.site)
        webhooks.queue.wake()
        let messages = try await webhooks.settle(endpoint.id)
        #expect(messages.map(\.kind) == ["webhook.test"])
        let ids = receiver.received.map { $0.headers["webhook-id"] }
        #expect(ids == [messages[0].eventID, messages[0].eventID])
        await #expect(throws: WebhookError.self) {
          try await webhooks.webhooks.replay(message: number + 1, of: endpoint.id, site: webhooks.site)
        }
      }
    }
  }

  @Test func afterARotationBothSecretsSignForAWhile() async throws {
    try await withReceiver { receiver in
      try await WebhookFixture.run { webhooks in
        let (endpoint, old) = try await webhooks.makeEndpoint(receiver.url)
        let (_, new) = try await webhooks.webhooks.rotate(endpoint.id, site: webhooks.site)
        #expect(old != new)
        _ = try await webhooks.webhooks.test(endpoint.id, site: webhooks.site)
        webhooks.queue.wake()
        _ = try await webhooks.settle(endpoint.id)
        try await webhooks.pool.execute("UPDATE event_endpoints SET previous_until = now() - interval '1 s'")
        _ = try await webhooks.webhooks.test(endpoint.id, site: webhooks.site)
        webhooks.queue.wake()
        _ = try await webhooks.settle(endpoint.id)
        let requests = receiver.received
        let signed = try requests.map { [try isSigned($0, by: old), try isSigned($0, by: new)] }
        #expect(signed == [[true, true], [false, true]])
      }
    }
  }

  /// The policy is asked about the very address; a redirect is an answer like any other.
  @Test func neitherPrivateAddressesNorRedirectsAreFollowed() async throws {
    let elsewhere = try Receiver()
    elsewhere.start()
    defer { elsewhere.stop() }
    try await withReceiver { receiver in
      let target = elsewhere.url
      receiver.answers { _, _ in Receiver.Answer(status: 302, headers: ["Location: \(target)"]) }
      try await WebhookFixture.run(allow: "127.0.0.1:\(receiver.port)") { webhooks in
        await #expect(throws: WebhookError.self) { _ = try await webhooks.makeEndpoint(elsewhere.url) }
        for url in ["http://example.org/a", "https://10.0.0.1/a", "ftp://example.org", "https://user@example.org/"] {
          await #expect(throws: WebhookError.self, "\(url)") { _ = try await webhooks.makeEndpoint(url) }
        }
        let (endpoint, _) = try await webhooks.makeEndpoint(receiver.url)
        _ = try await webhooks.webhooks.test(endpoint.id, site: webhooks.site)
        webhooks.queue.wake()
        let message = try await webhooks.settle(endpoint.id, tried: true)[0]
        let log = try await webhooks.webhooks.message(message.id, of: endpoint.id, site: webhooks.site).attempts
        #expect(log.first?.status == 302)
        #expect(elsewhere.received.isEmpty)

        // An address that was allowed once and is not any more: nothing leaves.
        let count = receiver.received.count
        try await webhooks.pool.execute("UPDATE event_endpoints SET url = \(elsewhere.url)")
        let job: Int64 = try await webhooks.pool.query("SELECT job_id FROM event_deliveries")[0].get(0)
        while try await webhooks.queue.reschedule([job], to: Date()) == 0 { await Task.yield() }
        while try await webhooks.messages(endpoint.id)[0].attempts < 2 { await Task.yield() }
        let again = try await webhooks.webhooks.message(message.id, of: endpoint.id, site: webhooks.site).attempts
        #expect(again.first?.status == nil)
        #expect(again.first?.error?.contains("may not be used") == true)
        #expect(receiver.received.count == count)
        #expect(elsewhere.received.isEmpty)
      }
    }
  }

  @Test func aDeadEndpointDelaysNobody() async throws {
    try await withReceiver { receiver in
      let dead = try Receiver()
      // Nobody accepts: the kernel takes the connection, and no answer ever comes.
      defer { dead.stop() }
      try await WebhookFixture.run { webhooks in
        let (silent, _) = try await webhooks.makeEndpoint(dead.url)
        let (good, _) = try await webhooks.makeEndpoint(receiver.url)
        for number in 1...30 { try await webhooks.emit("delivery.sent", subject: Int64(number)) }
        try await webhooks.drain()
        let delivered = try await webhooks.settle(good.id)
        #expect(delivered.count == 30)
        #expect(delivered.allSatisfy { $0.state == .delivered })
        // The first request to the silent one is still on its way, and no second one.
        #expect(try await webhooks.messages(silent.id).allSatisfy { $0.attempts == 0 })
      }
    }
  }

  @Test func secretsStandNowhereElse() async throws {
    try await withReceiver { receiver in
      try await WebhookFixture.run { webhooks in
        let (endpoint, secret) = try await webhooks.makeEndpoint(receiver.url)
        let text = try #require(secret.revealText())
        // A receiver that echoes the key it shares with us.
        receiver.answers { _, _ in Receiver.Answer(body: "your key is \(text), really") }
        let number = try await webhooks.webhooks.test(endpoint.id, site: webhooks.site)
        webhooks.queue.wake()
        _ = try await webhooks.settle(endpoint.id)
        let log = try await webhooks.webhooks.message(number, of: endpoint.id, site: webhooks.site).attempts
        #expect(log.first?.answer == "your key is [redacted], really")
        #expect(text.hasPrefix("whsec_"))
        let rows = try await webhooks.pool.query(
          "SELECT FROM event_endpoints e WHERE position(\(Array(text.utf8)) IN e.sealed_secret) > 0"
        )
        #expect(rows.isEmpty)
      }
    }
  }

  @Test func oneSiteDoesNotReachAnother() async throws {
    try await withReceiver { receiver in
      try await WebhookFixture.run { webhooks in
        let (endpoint, _) = try await webhooks.makeEndpoint(receiver.url)
        let other = webhooks.otherSite
        await #expect(throws: WebhookError.self) { try await webhooks.webhooks.endpoint(endpoint.id, site: other) }
        await #expect(throws: WebhookError.self) { try await webhooks.webhooks.test(endpoint.id, site: other) }
        await #expect(throws: WebhookError.self) { try await webhooks.webhooks.rotate(endpoint.id, site: other) }
        await #expect(throws: WebhookError.self) { try await webhooks.webhooks.remove(endpoint.id, site: other) }
        await #expect(throws: WebhookError.self) {
          try await webhooks.webhooks.update(endpoint.id, with: WebhookEndpoints.Change(isActive: false), site: other)
        }
        await #expect(throws: WebhookError.self) {
          try await webhooks.webhooks.replay(since: Date(), of: endpoint.id, site: other)
        }
        #expect(try await webhooks.webhooks.list(site: other).isEmpty)
        await #expect(throws: WebhookError.self) { _ = try await webhooks.makeEndpoint(receiver.url) }
        try await webhooks.webhooks.remove(endpoint.id, site: webhooks.site)
        #expect(try await webhooks.webhooks.list(site: webhooks.site).isEmpty)
      }
    }
  }

  @Test func oldRowsGo() async throws {
    try await withReceiver { receiver in
      try await WebhookFixture.run { webhooks in
        let (endpoint, _) = try await webhooks.makeEndpoint(receiver.url)
        for number in 1...3 { try await webhooks.emit("delivery.sent", subject: Int64(number)) }
        try await webhooks.drain()
        let messages = try await webhooks.settle(endpoint.id)
        try await webhooks.pool.batch([
          "UPDATE event_deliveries SET created_at = now() - interval '31 days' WHERE id <= \(messages[1].id)",
          "UPDATE event_attempts SET requested_at = now() - interval '31 days' WHERE event_delivery_id <= \(messages[1].id)",
        ])
        #expect(try await WebhookLog.clean(webhooks.pool, olderThan: .seconds(30 * 86_400)) == 2)
        #expect(try await webhooks.messages(endpoint.id).map(\.id) == [messages[2].id])
        #expect(try await webhooks.pool.query("SELECT FROM event_attempts").count == 1)
      }
    }
  }
}
