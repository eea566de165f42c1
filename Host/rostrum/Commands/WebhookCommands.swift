import Audit
import Cryptography
import FoundationEssentials
import JSONDocument
import Postgres
import Server
import ServiceTree
import WebhookEndpoints

import struct WebhookEndpoints.WebhookEndpoints

/// `rostrum webhook …`
enum WebhookCommands {
  static let all = [list, add, test, replay]

  private static let endpoint = Command.Operand(name: "ID", about: "the webhook's number")
  private static let site = Command.Option.value("site", "ID", "the site's number", required: true)

  private static let list = Command(
    words: ["webhook", "list"],
    summary: "Show the addresses that events of a site are sent to",
    options: [site]
  ) { invocation in
    let site = try invocation.id(invocation.option("site") ?? "", "--site")
    let rows = try await withWebhooks(invocation) { webhooks in
      try await webhooks.list(site: site, limit: WebhookEndpoints.limit)
    }
    invocation.show(["webhooks": .array(rows.map { json($0) })]) {
      invocation.terminal.table(
        ["id", "address", "events", "state", "last success"],
        rows.map { row in
          [
            "\(row.id)", row.url, row.eventTypes.isEmpty ? "all" : row.eventTypes.joined(separator: " "), state(row),
            row.lastSuccessAt.map(RFC3339.format) ?? "",
          ]
        }
      )
    }
    return .success
  }

  private static let add = Command(
    words: ["webhook", "add"],
    summary: "Send events of a site to an address; prints the secret that signs them this one time",
    options: [
      site, .value("url", "ADDRESS", "where the events go", required: true),
      .value("events", "LIST", "kinds such as delivery.failed, or families such as delivery.*, with commas between"),
      .value("description", "TEXT", "for people"),
      .flag("host-events", "also what belongs to no site: plugins, notices of the host"),
    ]
  ) { invocation in
    let site = try invocation.id(invocation.option("site") ?? "", "--site")
    let change = WebhookEndpoints.Change(
      url: invocation.option("url"),
      description: invocation.option("description"),
      eventTypes: invocation.option("events").map { $0.split(separator: ",").map(String.init) },
      takesHostEvents: invocation.flag("host-events")
    )
    let (row, secret) = try await withWebhooks(invocation) { webhooks in
      try await webhooks.create(change, site: site, user: nil, also: { [audit(.webhookCreate, $0, site: site)] })
    }
    var members = json(row).objectValue ?? [:]
    members["secret"] = secret.revealText().map { .string($0) } ?? .null
    invocation.show(.object(members)) {
      invocation.terminal.print("Webhook \(row.id) was made. Its secret, which is not shown again:")
      invocation.terminal.print(secret.revealText() ?? "")
      invocation.terminal.print("Next: rostrum webhook test \(row.id)")
    }
    return .success
  }

  private static let test = Command(
    words: ["webhook", "test"],
    summary: "Send a message to a webhook and tell what came of it; the host must run",
    operands: [endpoint]
  ) { invocation in
    let id = try invocation.id(invocation.operand(0), "ID")
    let (message, attempts) = try await withWebhooks(invocation) { webhooks in
      let site = try await webhooks.site(of: id)
      let number = try await webhooks.test(id, site: site, also: [audit(.webhookTest, id, site: site)])
      let deadline = ContinuousClock.now + .seconds(30)
      while true {
        let story = try await webhooks.message(number, of: id, site: site)
        if !story.attempts.isEmpty || story.message.state != .pending || ContinuousClock.now > deadline { return story }
        guard await Shutdown.current.sleep(for: .milliseconds(200)) else { return story }
      }
    }
    let isDelivered = message.state == .delivered
    invocation.show([
      "messageId": .int(message.id), "eventId": .string(message.eventID), "state": .string(message.state.rawValue),
      "status": attempts.first?.status.map { .int(Int64($0)) } ?? .null,
      "error": attempts.first?.error.map { .string($0) } ?? .null,
    ]) {
      if isDelivered {
        invocation.terminal.print("The receiver took message \(message.eventID).")
      } else if let attempt = attempts.first {
        invocation.terminal.print("The receiver did not take it: \(attempt.error ?? "no reason"). It is sent again.")
      } else {
        invocation.terminal.print("Nothing was sent within 30 s; does a host run?")
      }
    }
    return isDelivered ? .success : .failure
  }

  private static let replay = Command(
    words: ["webhook", "replay"],
    summary: "Send one message again, or everything since a time that failed or was missed",
    operands: [endpoint],
    options: [
      .value("message", "ID", "this message, whatever became of it"),
      .value("since", "INSTANT", "everything that failed or was missed since, such as 2026-11-21T09:00:00Z"),
    ]
  ) { invocation in
    let id = try invocation.id(invocation.operand(0), "ID")
    let message = try invocation.option("message").map { text throws(CommandError) in
      try invocation.id(text, "--message")
    }
    let since = try invocation.option("since").map { text throws(CommandError) in
      guard let date = RFC3339.parse(text) else {
        throw CommandError(.usage, "--since is “\(text)”; allowed is an instant such as 2026-11-21T09:00:00Z")
      }
      return date
    }
    guard (message == nil) != (since == nil) else {
      throw CommandError(.usage, "Give either --message or --since")
    }
    let count = try await withWebhooks(invocation) { webhooks in
      let site = try await webhooks.site(of: id)
      let audit = audit(.webhookReplay, id, site: site)
      if let message {
        try await webhooks.replay(message: message, of: id, site: site, also: [audit])
        return 1
      }
      var total = 0
      while let since {
        let (count, hasMore) = try await webhooks.replay(
          since: since,
          of: id,
          site: site,
          also: total == 0 ? [audit] : []
        )
        total += count
        if !hasMore { break }
      }
      return total
    }
    invocation.show(["replayed": .int(Int64(count))]) {
      invocation.terminal.print("\(count) messages go out again.")
    }
    return .success
  }

  private static func audit(_ action: AuditAction, _ id: Int64, site: Int64) -> SQL {
    AuditEntry.byCommandLine(action, "webhook:\(id)", site: site).insertion
  }

  private static func withWebhooks<Value>(
    _ invocation: Invocation,
    _ body: (WebhookEndpoints) async throws -> Value
  ) async throws -> Value {
    let configuration = try invocation.configuration()
    return try await invocation.withPool { pool in
      try await body(try await HostWebhooks.open(configuration, pool: pool, logger: invocation.quietLogger))
    }
  }

  private static func state(_ row: WebhookEndpoint) -> String {
    if !row.isActive { return row.disabledReason.map { "off (\($0))" } ?? "off" }
    return row.failures > 0 ? "failing (\(row.failures))" : "on"
  }

  private static func json(_ row: WebhookEndpoint) -> JSONValue {
    [
      "id": .int(row.id), "siteId": .int(row.site), "url": .string(row.url), "description": .string(row.description),
      "eventTypes": .array(row.eventTypes.map { .string($0) }), "hostEvents": .bool(row.takesHostEvents),
      "isActive": .bool(row.isActive), "disabledReason": row.disabledReason.map { .string($0) } ?? .null,
      "failures": .int(Int64(row.failures)),
      "lastSuccessAt": row.lastSuccessAt.map { .string(RFC3339.format($0)) } ?? .null,
    ]
  }
}
