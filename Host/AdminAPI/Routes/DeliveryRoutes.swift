import HTTPServer
import Identity
import JSONDocument
import JSONText
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
        .object([
          .required("remoteId", .string(0...512)), .required("url", .nullable(.string(0...2048))),
          .required("isRemoved", .boolean, "Whether it was deleted on the platform since"),
        ]),
        0...100
      ),
      "The posts of a thread that are out, the first one included; empty for a single post"
    ),
    .required("error", .any), .required("warnings", .array(.string(0...500), 0...20)),
    .required("latencyMs", .nullable(.integer(0...Int64.max))), .required("createdAt", .instant),
    .required("endedAt", .nullable(.instant)), .required("isByHand", .boolean, "Whether a person posted it by hand"),
    .required("replaces", .nullable(.id), "The delivery that this one is sent instead of"),
    .required("replacedBy", .nullable(.id), "The delivery that is sent instead of this one"),
    .required("removal", .nullable(.choice(Delivery.Removal.allCases.map(\.rawValue)))),
    .required("removedAt", .nullable(.instant)), .required("removalError", .any),
  ])

  private static let instant = Schema.nullable(.instant)
  private static let word = Schema.string(1...40)

  private static let story = Schema.object([
    .required("delivery", shape), .required("summary", .string(0...5000)),
    .required(
      "steps",
      .array(
        .object([
          .required("run", .id), .required("step", .string(1...200)), .required("try", .integer(0...10_000)),
          .required("rule", .string(1...200)), .required("class", word), .required("digest", .string(0...100)),
          .required("outcome", .nullable(word)), .required("status", .nullable(.integer(0...999))),
          .required("remoteId", .nullable(.string(0...512))), .required("startedAt", .instant),
          .required("sentAt", instant), .required("lastByteAt", instant),
          .required("closedBy", .nullable(.string(0...200))),
        ]),
        0...100_000
      ),
      "Every outside request, with the SHA-256 of what was sent"
    ),
    .required(
      "attempts",
      .array(
        .object([
          .required("attempt", .integer(0...10_000)), .optional("claimedAt", .instant), .optional("calledAt", .instant),
          .required("endedAt", .instant), .required("outcome", word), .optional("error", .string(0...5000)),
        ]),
        0...200
      )
    ),
    .required(
      "holds",
      .array(
        .object([
          .required("kind", word), .required("message", .string(0...5000)), .optional("until", .instant),
        ]),
        0...20
      ),
      "Why it waits, the strongest reason first"
    ),
    .optional(
      "next",
      .object([.required("what", .string(0...500)), .optional("at", .instant)]),
      "What happens next by itself; missing when nothing does"
    ),
    .optional(
      "check",
      .object([
        .required("accountName", .string(0...500)), .optional("accountUrl", .string(0...2048)),
        .required("text", .string(0...100_000)), .required("from", .instant), .required("to", .instant),
      ]),
      "What to look for on the platform, for an unconfirmed delivery"
    ),
    .required("choices", .array(.choice(DeliveryExplanation.Choice.allCases.map(\.rawValue)), 0...10)),
    .required(
      "waysOut",
      .array(.object([.required("connectionId", .id), .required("accountName", .string(0...500))]), 0...1000),
      "Accounts that could take it instead"
    ),
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
      summary: "The story of a delivery: attempts, requests, why it waits, what comes next, what people can do",
      access: .site(.read),
      query: [.siteID],
      success: .json(200, story),
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
      handler: { context in try await retry(try context.id(), context) }
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
      summary: "Settle an unconfirmed delivery with what you saw, or a failed one that you posted by hand",
      access: .site(.publish),
      query: [.siteID],
      body: .object([
        .siteID, .required("answer", .choice(["published", "not_published", "give_up", "posted_by_hand"])),
        .optional("url", .url, "Where the post is, when it was published; needed for posted_by_hand"),
      ]),
      isSettledByItself: true,
      success: .json(200, shape),
      refusals: [409, 422],
      handler: answer
    ),
    Endpoint(
      method: .post,
      path: "/api/admin/distribution/logs/{id}/divert",
      summary: "Send a failed delivery by another account instead",
      access: .site(.publish),
      query: [.siteID],
      body: .object([.siteID, QueueRoutes.other]),
      isSettledByItself: true,
      success: .json(200, shape),
      refusals: [409, 422],
      handler: divert
    ),
    Endpoint(
      method: .delete,
      path: "/api/admin/distribution/logs/{id}/remote",
      summary: "Delete a published post on its platform; the answer comes before the platform's",
      access: .site(.publish),
      query: [.siteID],
      success: .json(202, shape),
      refusals: [409, 422],
      handler: remove
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
    let services = context.services
    let held = try await HoldStore(pool: services.pool).current().map { [DeliveryExplanation.Hold($0)] } ?? []
    let (story, ways) = try await services.pool.transaction(scope: .site(try context.site())) { tx in
      let platform = try await store.delivery(id, in: tx).platform
      let story = try await store.explain(id, holds: held + quarantine(platform, services), in: tx)
      return (story, story.choices.contains(.divert) ? try await services.control.waysOut(in: tx) : [])
    }
    var members = try JSONValue.parse(Array(story.parts().text.utf8)).objectValue ?? [:]
    members["delivery"] = try json(story.delivery)
    members["summary"] = .string(story.summary)
    members["steps"] = .array(story.steps.map(json))
    members["waysOut"] = .array(
      ways.filter { $0.id != story.delivery.connectionID }
        .map { ["connectionId": .int($0.id), "accountName": .string($0.name)] }
    )
    return Envelope.ok(.object(members))
  }

  /// What this host knows of the adapter of a delivery.
  private static func quarantine(_ platform: String, _ services: APIServices) -> [DeliveryExplanation.Hold] {
    guard let status = services.plugins.status().first(where: { $0.id == platform }) else {
      return [DeliveryExplanation.Hold("plugin", "No plugin for “\(platform)” is installed")]
    }
    guard status.state == .quarantined else { return [] }
    return [DeliveryExplanation.Hold("quarantine", "The adapter crashed too often and is in quarantine")]
  }

  static func retry(_ id: Int64, _ context: APIContext) async throws -> HTTPResponse {
    try await context.services.control.retry(id, site: try context.site(), user: try context.caller().userID)
    return Envelope.ok(try json(try await load(id, context)))
  }

  private static func divert(_ context: APIContext) async throws -> HTTPResponse {
    let pair = try await context.services.control.divert(
      delivery: try context.id(),
      to: context.int64("connectionId"),
      site: try context.site(),
      user: try context.caller().userID
    )
    return Envelope.ok(try json(try await load(pair.to, context)))
  }

  private static func remove(_ context: APIContext) async throws -> HTTPResponse {
    let id = try context.id()
    try await context.services.control.removeFromPlatform(
      id,
      site: try context.site(),
      user: try context.caller().userID
    )
    return Envelope.ok(try json(try await load(id, context)), status: 202)
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
    let (id, site, user) = (try context.id(), try context.site(), try context.caller().userID)
    if context.string("answer") == "posted_by_hand" {
      guard let url = context.string("url") else {
        throw PublishingError(.invalid, "missing", "url is missing; allowed is the address of the post", field: "url")
      }
      try await context.services.control.postedByHand(id, url: url, site: site, user: user)
      return Envelope.ok(try json(try await load(context)))
    }
    let answer: DeliveryControl.Answer =
      switch context.string("answer") {
      case "published": .published(url: context.string("url"))
      case "not_published": .notPublished
      default: .giveUp
      }
    try await context.services.control.answer(answer, for: id, site: site, user: user)
    return Envelope.ok(try json(try await load(context)))
  }

  private static func load(_ context: APIContext) async throws -> Delivery {
    try await load(try context.id(), context)
  }

  private static func load(_ id: Int64, _ context: APIContext) async throws -> Delivery {
    try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
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
      "isByHand": .bool(delivery.isByHand), "replaces": .number(delivery.replaces),
      "replacedBy": .number(delivery.replacedBy), "removal": .text(delivery.removal?.rawValue),
      "removedAt": .instant(delivery.removedAt), "removalError": try .stored(delivery.removalError),
    ]
  }

  private static func segments(_ delivery: Delivery) throws -> JSONValue {
    let stored = try JSONValue.stored(delivery.segments).arrayValue ?? []
    return .array(
      stored.map { element in
        let post = element.objectValue
        return [
          "remoteId": post?["remoteId"] ?? .null, "url": post?["url"] ?? .null,
          "isRemoved": post?["removed"] ?? .bool(false),
        ]
      }
    )
  }

  private static func json(_ step: DeliveryStep) -> JSONValue {
    [
      "run": .int(Int64(step.run)), "step": .string(step.step), "try": .int(Int64(step.attempt)),
      "rule": .string(step.rule), "class": .string(step.effectClass), "digest": .string(step.digest),
      "outcome": .text(step.outcome),
      "status": .number(step.status), "remoteId": .text(step.remoteID), "startedAt": .instant(step.startedAt),
      "sentAt": .instant(step.sentAt), "lastByteAt": .instant(step.lastByteAt), "closedBy": .text(step.closedBy),
    ]
  }
}
