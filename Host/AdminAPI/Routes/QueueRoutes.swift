import Audit
import HTTPServer
import Identity
import JSONDocument
import PluginHost
import PluginManifest
import Postgres
import Publishing

/// The queue of a site as a whole: what failed, holding everything, another account for what waits, retention.
enum QueueRoutes {
  private static let base = "/api/admin/distribution"
  private static let count = Schema.integer(0...Int64.max)

  private static let failed = Schema.object([
    .required("id", .string(1...20)), .required("data", DeliveryRoutes.shape),
    .required("failedReason", .string(0...5000)), .required("attemptsMade", count), .required("timestamp", .instant),
  ])

  private static let held = Schema.object([
    .required("waiting", .nullable(count), "Deliveries that are open and not on their way; null for a whole site"),
    .required("alreadySending", count, "Deliveries that run to their end"),
  ])

  private static let diverted = Schema.object([
    .required(
      "deliveries",
      .array(.object([.required("from", .id), .required("to", .id)]), 0...DeliveryControl.divertLimit),
      "The delivery that was given up, and the one that goes out instead"
    ),
    .required("alreadySending", count, "Deliveries that run to their end where they are"),
  ])

  static let other = Schema.Field.optional(
    "connectionId",
    .id,
    "The account to send by; may be left out when the site has exactly one with an address of its own"
  )

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: "\(base)/queue/failed",
      summary: "Failed and unconfirmed deliveries, newest first",
      access: .site(.read),
      query: [.siteID, .optional("platform", .string(1...40)), .optional("connectionId", .id), .cursor, .limit],
      success: .page(failed),
      handler: failed
    ),
    Endpoint(
      method: .post,
      path: "\(base)/queue/retry/{jobId}",
      summary: "Send a failed or partial delivery again; the same as logs/{id}/retry",
      access: .site(.publish),
      query: [.siteID],
      success: .json(200, DeliveryRoutes.shape),
      refusals: [409],
      handler: { context in try await DeliveryRoutes.retry(try context.id("jobId"), context) }
    ),
    Endpoint(
      method: .post,
      path: "\(base)/queue/clean",
      summary:
        "Drop the texts and answers of what ended 30 days ago now, not at the next hour; nothing open is touched",
      access: .site(.manageSite),
      query: [.siteID],
      success: .json(200, .object([.required("completed", count), .required("failed", count)])),
      handler: clean
    ),
    Endpoint(
      method: .post,
      path: "\(base)/queue/pause",
      summary: "Hold everything of the site: from the answer on nothing of it starts",
      access: .site(.manageAccounts),
      query: [.siteID],
      success: .json(200, held),
      handler: { context in try await holdSite(true, context) }
    ),
    Endpoint(
      method: .post,
      path: "\(base)/queue/resume",
      summary: "Let the site go on",
      access: .site(.manageAccounts),
      query: [.siteID],
      success: .json(200, held),
      handler: { context in try await holdSite(false, context) }
    ),
    Endpoint(
      method: .post,
      path: "\(base)/connections/{id}/pause",
      summary: "Hold an account: from the answer on nothing starts for it",
      access: .site(.publish),
      query: [.siteID],
      success: .json(200, held),
      handler: { context in try await holdConnection(true, context) }
    ),
    Endpoint(
      method: .post,
      path: "\(base)/connections/{id}/resume",
      summary: "Let an account go on",
      access: .site(.publish),
      query: [.siteID],
      success: .json(200, held),
      handler: { context in try await holdConnection(false, context) }
    ),
    Endpoint(
      method: .post,
      path: "\(base)/connections/{id}/divert",
      summary: "Send everything that waits for an account by another one instead, such as while a platform is down",
      access: .site(.publish),
      query: [.siteID],
      body: .object([.siteID, other]),
      isSettledByItself: true,
      success: .json(200, diverted),
      refusals: [409, 422],
      handler: divert
    ),
  ]

  private static func failed(_ context: APIContext) async throws -> HTTPResponse {
    let (cursor, limit) = (try context.cursor(), try context.pageLimit())
    let platform = context.query["platform"].map { context.services.plugins.manifest(for: $0)?.id ?? $0 }
    let connection = try context.query.int64("connectionId")
    let rows = try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
      var rows: [Delivery] = []
      for state in [DeliveryState.failed, .unconfirmed] {
        let filter = DeliveryFilter(state: state, platform: platform, connectionID: connection)
        rows += try await DeliveryRoutes.store.list(filter, before: cursor, limit: limit, in: tx)
      }
      return Array(rows.sorted { $0.id > $1.id }.prefix(limit))
    }
    return Envelope.page(try rows.map(json), nextCursor: rows.count == limit ? rows.last?.id : nil)
  }

  private static func json(_ delivery: Delivery) throws -> JSONValue {
    let error = try JSONValue.stored(delivery.error)
    return [
      "id": .string("\(delivery.id)"), "data": try DeliveryRoutes.json(delivery),
      "failedReason": .string(error.objectValue?["message"]?.stringValue ?? ""),
      "attemptsMade": .int(Int64(delivery.attempts)), "timestamp": .instant(delivery.endedAt ?? delivery.createdAt),
    ]
  }

  private static func clean(_ context: APIContext) async throws -> HTTPResponse {
    let site = try context.site()
    let result = try await context.services.retention.clean(site: site)
    try await context.services.pool.execute(context.audit(.queueClean, "site:\(site)", site: site))
    return Envelope.ok(["completed": .int(Int64(result.completed)), "failed": .int(Int64(result.failed))])
  }

  private static func holdSite(_ isHeld: Bool, _ context: APIContext) async throws -> HTTPResponse {
    let held = try await context.services.control.hold(
      site: try context.site(),
      isHeld,
      user: try context.caller().userID
    )
    return Envelope.ok(DistributionRoutes.json(held))
  }

  private static func holdConnection(_ isHeld: Bool, _ context: APIContext) async throws -> HTTPResponse {
    let held = try await context.services.control.hold(
      connection: try context.id(),
      isHeld,
      site: try context.site(),
      user: try context.caller().userID
    )
    return Envelope.ok(DistributionRoutes.json(held))
  }

  private static func divert(_ context: APIContext) async throws -> HTTPResponse {
    let result = try await context.services.control.divert(
      connection: try context.id(),
      to: context.int64("connectionId"),
      site: try context.site(),
      user: try context.caller().userID
    )
    return Envelope.ok([
      "deliveries": .array(result.deliveries.map { ["from": .int($0.from), "to": .int($0.to)] }),
      "alreadySending": .int(Int64(result.alreadySending)),
    ])
  }
}
