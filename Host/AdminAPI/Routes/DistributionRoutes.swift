import FoundationEssentials
import HTTPServer
import Identity
import JSONDocument
import JobQueue
import PluginHost
import PluginManifest
import Postgres
import Publishing

/// Whole distributions.
enum DistributionRoutes {
  private static let store = DistributionStore()
  private static let base = "/api/distribution/{id}"
  /// The accounts of a distribution, and those that took over for them.
  private static let deliveryLimit = 1_000

  private static let count = Schema.integer(0...Int64.max)

  private static let members: [Schema.Field] = [
    .required("distributionId", .id), .required("postId", .id), .required("postVersion", .id),
    .required("postTitle", .string(0...300)),
    .required("phase", .choice(DistributionProgress.Phase.allCases.map(\.rawValue))),
    .required("total", count), .required("ended", count), .required("states", .map(count, limit: 20)),
    .required("percent", .integer(0...100), "Of the deliveries, how many have ended"),
    .required("scheduledFor", .nullable(.instant)), .required("createdAt", .instant),
    .required("pausedAt", .nullable(.instant)), .required("canceledAt", .nullable(.instant)),
    .required("endedAt", .nullable(.instant)),
  ]

  private static let held = Schema.object([
    .required("waiting", count, "Deliveries that are open and not on their way"),
    .required("alreadySending", count, "Deliveries that run to their end"),
  ])

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: "/api/distribution/history",
      summary: "Distributions and how far they are, newest first",
      access: .site(.read),
      query: [
        .siteID, .optional("status", .choice(DeliveryState.allCases.map(\.rawValue)), "With a delivery in this state"),
        .optional("platform", .string(1...40), "With a delivery to this platform"), .optional("postId", .id),
        .optional("from", .instant, "Made at this instant or later"), .optional("to", .instant, "Made before"),
        .cursor, .limit,
      ],
      success: .page(.object(members)),
      handler: history
    ),
    Endpoint(
      method: .get,
      path: "\(base)/status",
      summary: "How far a distribution is, and its deliveries",
      access: .site(.read),
      query: [.siteID],
      success: .json(
        200,
        .object(members + [.required("deliveries", .array(DeliveryRoutes.shape, 0...deliveryLimit))])
      ),
      handler: status
    ),
    Endpoint(
      method: .get,
      path: "\(base)/progress",
      summary: "How far a distribution is",
      access: .site(.read),
      query: [.siteID],
      success: .json(200, .object(members)),
      handler: { context in Envelope.ok(json(try await load(try context.id(), context))) }
    ),
    Endpoint(
      method: .post,
      path: "\(base)/pause",
      summary: "Hold a distribution: from the answer on nothing of it starts",
      access: .site(.publish),
      query: [.siteID],
      success: .json(200, held),
      handler: { context in
        Envelope.ok(
          DistributionRoutes.json(
            try await context.services.control.pause(
              distribution: try context.id(),
              site: try context.site(),
              user: try context.caller().userID
            )
          )
        )
      }
    ),
    Endpoint(
      method: .post,
      path: "\(base)/resume",
      summary: "Let a distribution go on; what became due meanwhile goes out in its order",
      access: .site(.publish),
      query: [.siteID],
      success: .json(200, held),
      handler: { context in
        Envelope.ok(
          DistributionRoutes.json(
            try await context.services.control.resume(
              distribution: try context.id(),
              site: try context.site(),
              user: try context.caller().userID
            )
          )
        )
      }
    ),
    Endpoint(
      method: .post,
      path: "\(base)/cancel",
      summary: "Withdraw what has not been sent of a distribution",
      access: .site(.publish),
      query: [.siteID],
      success: .json(
        200,
        .object([
          .required("canceled", count, "Deliveries that will not be sent"),
          .required("alreadySending", count, "Deliveries that run to their end"),
        ])
      ),
      handler: cancel
    ),
    Endpoint(
      method: .post,
      path: "\(base)/retry-failed",
      summary: "Send again what failed or went out in part; what is unconfirmed waits for an answer",
      access: .site(.publish),
      query: [.siteID],
      success: .json(
        200,
        .object([
          .required("retried", .array(.id, 0...deliveryLimit)), .required("unconfirmed", count),
          .required("left", .array(.id, 0...deliveryLimit), "Replaced by others, or deleted"),
        ])
      ),
      refusals: [409],
      handler: retryFailed
    ),
  ]

  private static func history(_ context: APIContext) async throws -> HTTPResponse {
    let (cursor, limit) = (try context.cursor(), try context.pageLimit())
    let filter = DistributionFilter(
      state: context.query["status"].flatMap(DeliveryState.init),
      platform: context.query["platform"].map { context.services.plugins.manifest(for: $0)?.id ?? $0 },
      postID: try context.query.int64("postId"),
      createdFrom: context.query["from"].flatMap(RFC3339.parse),
      createdBefore: context.query["to"].flatMap(RFC3339.parse)
    )
    let rows = try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
      try await store.list(filter, before: cursor, limit: limit, in: tx)
    }
    return Envelope.page(rows.map(json), nextCursor: rows.count == limit ? rows.last?.id : nil)
  }

  private static func status(_ context: APIContext) async throws -> HTTPResponse {
    let id = try context.id()
    let (progress, deliveries) = try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
      (
        try await store.progress(id, in: tx),
        try await DeliveryRoutes.store.list(
          DeliveryFilter(distributionID: id),
          before: nil,
          limit: deliveryLimit,
          in: tx
        )
      )
    }
    var members = json(progress).objectValue ?? [:]
    members["deliveries"] = .array(try deliveries.map(DeliveryRoutes.json))
    return Envelope.ok(.object(members))
  }

  private static func cancel(_ context: APIContext) async throws -> HTTPResponse {
    let result = try await context.services.control.cancel(
      distribution: try context.id(),
      site: try context.site(),
      user: try context.caller().userID
    )
    return Envelope.ok(["canceled": .int(Int64(result.dropped)), "alreadySending": .int(Int64(result.alreadySending))])
  }

  private static func retryFailed(_ context: APIContext) async throws -> HTTPResponse {
    let result = try await context.services.control.retryFailed(
      try context.id(),
      site: try context.site(),
      user: try context.caller().userID
    )
    return Envelope.ok([
      "retried": .array(result.retried.map { .int($0) }), "unconfirmed": .int(Int64(result.unconfirmed)),
      "left": .array(result.left.map { .int($0) }),
    ])
  }

  private static func load(_ id: Int64, _ context: APIContext) async throws -> DistributionProgress {
    try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
      try await store.progress(id, in: tx)
    }
  }

  static func json(_ held: DeliveryControl.Held) -> JSONValue {
    ["waiting": .number(held.waiting), "alreadySending": .int(Int64(held.sending))]
  }

  private static func json(_ progress: DistributionProgress) -> JSONValue {
    let percent = progress.total == 0 ? 100 : progress.ended * 100 / progress.total
    return [
      "distributionId": .int(progress.id), "postId": .int(progress.postID),
      "postVersion": .int(Int64(progress.postVersion)), "postTitle": .string(progress.postTitle),
      "phase": .string(progress.phase.rawValue), "total": .int(Int64(progress.total)),
      "ended": .int(Int64(progress.ended)), "percent": .int(Int64(percent)),
      "states": .object(
        Dictionary(uniqueKeysWithValues: progress.states.map { ($0.key.rawValue, .int(Int64($0.value))) })
      ),
      "scheduledFor": .instant(progress.scheduledFor), "createdAt": .instant(progress.createdAt),
      "pausedAt": .instant(progress.pausedAt), "canceledAt": .instant(progress.canceledAt),
      "endedAt": .instant(progress.endedAt),
    ]
  }
}
