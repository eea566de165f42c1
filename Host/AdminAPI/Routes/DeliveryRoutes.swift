import HTTPServer
import Identity
import JSONDocument
import PluginHost
import PluginManifest
import Postgres
import Publishing

/// The queue as people see it: every delivery, its state and its story.
enum DeliveryRoutes {
  static let store = DeliveryStore()
  private static let states = DeliveryState.allCases.map(\.rawValue)

  static let shape = Schema.object([
    .required("id", .id), .required("siteId", .id), .required("distributionId", .id), .required("connectionId", .id),
    .required("targetId", .nullable(.id)), .required("platform", .string(1...40)),
    .required("accountName", .string(0...500)), .required("postId", .id), .required("postVersion", .id),
    .required("postTitle", .string(0...300)), .required("state", .choice(states)),
    .required("attempts", .integer(0...10_000)),
    .required("run", .id), .required("scheduledFor", .instant), .required("nextAttemptAt", .nullable(.instant)),
    .required("remoteId", .nullable(.string(0...512))), .required("url", .nullable(.string(0...2048))),
    .required(
      "segments",
      .array(
        .object([.required("remoteId", .string(0...512)), .required("url", .nullable(.string(0...2048)))]),
        0...100
      ),
      "The posts of a thread that are out, the first one included; empty for a single post"
    ),
    .required("error", .any), .required("warnings", .array(.string(0...500), 0...20)),
    .required("latencyMs", .nullable(.integer(0...Int64.max))), .required("createdAt", .instant),
    .required("endedAt", .nullable(.instant)),
  ])

  private static let counts = Schema.object([
    .required("waiting", .integer(0...Int64.max)), .required("active", .integer(0...Int64.max)),
    .required("completed", .integer(0...Int64.max)), .required("failed", .integer(0...Int64.max)),
    .required("delayed", .integer(0...Int64.max)), .required("unconfirmed", .integer(0...Int64.max)),
    .required("canceled", .integer(0...Int64.max)), .required("states", .map(.integer(0...Int64.max), limit: 20)),
    .required("holds", .array(LimitRoutes.hold, 0...50), "What keeps accounts still at the moment"),
  ])

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: "/api/admin/distribution/queue",
      summary: "Deliveries, newest first",
      access: .site(.read),
      query: [
        .siteID, .optional("status", .choice(states)), .optional("platform", .string(1...40)),
        .optional("connectionId", .id), .optional("distributionId", .id), .optional("postId", .id), .cursor, .limit,
      ],
      success: .page(shape),
      handler: list
    ),
    Endpoint(
      method: .get,
      path: "/api/admin/distribution/queue/status",
      summary: "How many deliveries are in each state",
      access: .site(.read),
      query: [.siteID],
      success: .json(200, counts),
      handler: status
    ),
    Endpoint(
      method: .get,
      path: "/api/admin/distribution/logs/{id}",
      summary: "One delivery",
      access: .site(.read),
      query: [.siteID],
      success: .json(200, shape),
      handler: { context in Envelope.ok(try json(try await load(context))) }
    ),
    Endpoint(
      method: .get,
      path: "/api/admin/distribution/logs/{id}/explain",
      summary: "The story of a delivery: every outside request and what came of it",
      access: .site(.read),
      query: [.siteID],
      success: .json(200, .any),
      handler: explain
    ),
    Endpoint(
      method: .post,
      path: "/api/admin/distribution/logs/{id}/retry",
      summary: "Send a failed or partial delivery again",
      access: .site(.publish),
      query: [.siteID],
      success: .json(200, shape),
      refusals: [409],
      handler: retry
    ),
    Endpoint(
      method: .post,
      path: "/api/admin/distribution/logs/{id}/cancel",
      summary: "Withdraw a delivery that has not been sent",
      access: .site(.publish),
      query: [.siteID],
      success: .json(200, shape),
      refusals: [409],
      handler: cancel
    ),
    Endpoint(
      method: .post,
      path: "/api/admin/distribution/logs/{id}/answer",
      summary: "Settle an unconfirmed delivery with what you saw on the platform",
      access: .site(.publish),
      query: [.siteID],
      body: .object([
        .siteID, .required("answer", .choice(["published", "not_published", "give_up"])),
        .optional("url", .url, "Where the post is, when it was published"),
      ]),
      isSettledByItself: true,
      success: .json(200, shape),
      refusals: [409],
      handler: answer
    ),
  ]

  private static func list(_ context: APIContext) async throws -> HTTPResponse {
    let (cursor, limit) = (try context.cursor(), try context.pageLimit())
    let platform = context.query["platform"].map { context.services.plugins.manifest(for: $0)?.id ?? $0 }
    let filter = DeliveryFilter(
      state: context.query["status"].flatMap(DeliveryState.init),
      platform: platform,
      connectionID: try context.query.int64("connectionId"),
      distributionID: try context.query.int64("distributionId"),
      postID: try context.query.int64("postId")
    )
    let rows = try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
      try await store.list(filter, before: cursor, limit: limit, in: tx)
    }
    return Envelope.page(try rows.map(json), nextCursor: rows.count == limit ? rows.last?.id : nil)
  }

  private static func status(_ context: APIContext) async throws -> HTTPResponse {
    let (counts, holds) = try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
      (try await store.counts(in: tx), try await LimitStore().holds(in: tx))
    }
    var words: [String: Int64] = ["waiting": 0, "active": 0, "completed": 0, "failed": 0, "delayed": 0]
    for (state, count) in counts {
      if let word = state.queueWord { words[word, default: 0] += Int64(count) }
    }
    var members = words.mapValues { JSONValue.int($0) }
    members["unconfirmed"] = .int(Int64(counts[.unconfirmed] ?? 0))
    members["canceled"] = .int(Int64(counts[.canceled] ?? 0))
    members["states"] = .object(
      Dictionary(uniqueKeysWithValues: DeliveryState.allCases.map { ($0.rawValue, .int(Int64(counts[$0] ?? 0))) })
    )
    members["holds"] = .array(holds.map(LimitRoutes.json))
    return Envelope.ok(.object(members))
  }

  private static func explain(_ context: APIContext) async throws -> HTTPResponse {
    let id = try context.id()
    let (delivery, steps, holds) = try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
      let delivery = try await store.delivery(id, in: tx)
      let steps = try await store.steps(of: id, in: tx)
      return (delivery, steps, try await LimitStore().holds(connection: delivery.connectionID, in: tx))
    }
    return Envelope.ok([
      "delivery": try json(delivery),
      "summary": .string(DeliveryStory.summary(delivery, steps)),
      "steps": .array(steps.map(json)),
      "holds": .array(holds.map(LimitRoutes.json)),
      "hold": delivery.state.isEnd ? .null : try await HoldRoutes.json(of: HoldStore(pool: context.services.pool)),
    ])
  }

  private static func retry(_ context: APIContext) async throws -> HTTPResponse {
    try await context.services.control.retry(
      try context.id(),
      site: try context.site(),
      user: try context.caller().userID
    )
    return Envelope.ok(try json(try await load(context)))
  }

  private static func cancel(_ context: APIContext) async throws -> HTTPResponse {
    try await context.services.control.cancel(
      try context.id(),
      site: try context.site(),
      user: try context.caller().userID
    )
    return Envelope.ok(try json(try await load(context)))
  }

  private static func answer(_ context: APIContext) async throws -> HTTPResponse {
    let answer: DeliveryControl.Answer =
      switch context.string("answer") {
      case "published": .published(url: context.string("url"))
      case "not_published": .notPublished
      default: .giveUp
      }
    try await context.services.control.answer(
      answer,
      for: try context.id(),
      site: try context.site(),
      user: try context.caller().userID
    )
    return Envelope.ok(try json(try await load(context)))
  }

  private static func load(_ context: APIContext) async throws -> Delivery {
    let id = try context.id()
    return try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
      try await store.delivery(id, in: tx)
    }
  }

  static func json(_ delivery: Delivery) throws -> JSONValue {
    [
      "id": .int(delivery.id), "siteId": .int(delivery.siteID), "distributionId": .int(delivery.distributionID),
      "connectionId": .int(delivery.connectionID), "targetId": .number(delivery.targetID),
      "platform": .string(delivery.platform), "accountName": .string(delivery.accountName),
      "postId": .int(delivery.postID), "postVersion": .int(Int64(delivery.postVersion)),
      "postTitle": .string(delivery.postTitle), "state": .string(delivery.state.rawValue),
      "attempts": .int(Int64(delivery.attempts)), "run": .int(Int64(delivery.run)),
      "scheduledFor": .instant(delivery.scheduledFor), "nextAttemptAt": .instant(delivery.nextAttemptAt),
      "remoteId": .text(delivery.remoteID), "url": .text(delivery.url),
      "segments": try segments(delivery), "error": try .stored(delivery.error),
      "warnings": .strings(delivery.warnings), "latencyMs": .number(delivery.latencyMs),
      "createdAt": .instant(delivery.createdAt), "endedAt": .instant(delivery.endedAt),
    ]
  }

  private static func segments(_ delivery: Delivery) throws -> JSONValue {
    let stored = try JSONValue.stored(delivery.segments).arrayValue ?? []
    return .array(
      stored.map { ["remoteId": $0.objectValue?["remoteId"] ?? .null, "url": $0.objectValue?["url"] ?? .null] }
    )
  }

  private static func json(_ step: DeliveryStep) -> JSONValue {
    [
      "run": .int(Int64(step.run)), "step": .string(step.step), "try": .int(Int64(step.attempt)),
      "rule": .string(step.rule), "class": .string(step.effectClass), "outcome": .text(step.outcome),
      "status": .number(step.status), "remoteId": .text(step.remoteID), "startedAt": .instant(step.startedAt),
      "sentAt": .instant(step.sentAt), "lastByteAt": .instant(step.lastByteAt), "closedBy": .text(step.closedBy),
    ]
  }
}
