import HTTPServer
import Identity
import JSONDocument
import JobQueue
import Postgres
import Publishing

/// Whole distributions.
enum DistributionRoutes {
  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: "/api/distribution/{id}/status",
      summary: "The deliveries of a distribution",
      access: .site(.read),
      query: [.siteID],
      success: .json(
        200,
        .object([
          .required("distributionId", .id), .required("total", .id), .required("ended", .integer(0...Int64.max)),
          .required("states", .map(.integer(0...Int64.max), limit: 20)),
          .required("deliveries", .array(DeliveryRoutes.shape, 1...100)),
        ])
      ),
      handler: status
    ),
    Endpoint(
      method: .post,
      path: "/api/distribution/{id}/cancel",
      summary: "Withdraw what has not been sent of a distribution",
      access: .site(.publish),
      query: [.siteID],
      success: .json(
        200,
        .object([
          .required("canceled", .integer(0...Int64.max), "Deliveries that will not be sent"),
          .required("alreadySending", .integer(0...Int64.max), "Deliveries that run to their end"),
        ])
      ),
      handler: cancel
    ),
  ]

  private static func status(_ context: APIContext) async throws -> HTTPResponse {
    let id = try context.id()
    let deliveries = try await load(id, context)
    var states: [String: Int64] = [:]
    for delivery in deliveries { states[delivery.state.rawValue, default: 0] += 1 }
    return Envelope.ok([
      "distributionId": .int(id), "total": .int(Int64(deliveries.count)),
      "ended": .int(Int64(deliveries.filter(\.state.isEnd).count)),
      "states": .object(states.mapValues { .int($0) }), "deliveries": .array(try deliveries.map(DeliveryRoutes.json)),
    ])
  }

  private static func cancel(_ context: APIContext) async throws -> HTTPResponse {
    let id = try context.id()
    let site = try context.site()
    _ = try await load(id, context)
    let result = try await context.services.queue.cancelGroup(
      id,
      also: [Audit.row("distribution.cancel", "distribution:\(id)", site: site, context)]
    )
    return Envelope.ok(["canceled": .int(Int64(result.dropped)), "alreadySending": .int(Int64(result.alreadySending))])
  }

  private static func load(_ id: Int64, _ context: APIContext) async throws -> [Delivery] {
    let deliveries = try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
      try await DeliveryRoutes.store.list(DeliveryFilter(distributionID: id), before: nil, limit: 100, in: tx)
    }
    guard !deliveries.isEmpty else { throw PublishingError.notFound("distribution", id) }
    return deliveries
  }
}
