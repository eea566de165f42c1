import HTTPServer
import Identity
import JSONDocument
import JSONText
import JobQueue
import Postgres
import Publishing

/// Plans: one post to one account at an instant.
enum ScheduleRoutes {
  private static let store = ScheduleStore()
  private static let base = "/api/admin/distribution/schedules"

  private static let shape = Schema.object([
    .required("id", .id), .required("siteId", .id), .required("postId", .id), .required("targetId", .nullable(.id)),
    .required("connectionId", .id), .required("distributionId", .id), .required("deliveryId", .id),
    .required("scheduledFor", .instant), .required("options", .any),
    .required("status", .choice(["pending", "queued", "sent", "failed", "canceled"])), .required("createdAt", .instant),
  ])

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: base,
      summary: "Schedules, newest first",
      access: .site(.read),
      query: [.siteID, .cursor, .limit],
      success: .page(shape),
      handler: list
    ),
    Endpoint(
      method: .post,
      path: base,
      summary: "Plan a post for a target or a connection",
      access: .site(.publish),
      query: [.siteID],
      body: .object([
        .siteID, .required("postId", .id), .optional("targetId", .id), .optional("connectionId", .id),
        .required("scheduledFor", .instant), .optional("options", DispatchRoutes.options),
        DispatchRoutes.priority, DispatchRoutes.allowDuplicate,
      ]),
      success: .json(201, shape),
      refusals: [409, 422],
      handler: create
    ),
    Endpoint(
      method: .get,
      path: "\(base)/{id}",
      summary: "One schedule",
      access: .site(.read),
      query: [.siteID],
      success: .json(200, shape),
      handler: read
    ),
    Endpoint(
      method: .post,
      path: "\(base)/{id}/dispatch",
      summary: "Send a pending schedule now",
      access: .site(.publish),
      query: [.siteID],
      success: .json(200, shape),
      refusals: [409],
      handler: sendNow
    ),
    Endpoint(
      method: .delete,
      path: "\(base)/{id}",
      summary: "Cancel a schedule that has not been sent",
      access: .site(.publish),
      query: [.siteID],
      success: .json(200, .object([.required("canceled", .boolean)])),
      refusals: [409],
      handler: cancel
    ),
  ]

  private static func list(_ context: APIContext) async throws -> HTTPResponse {
    let (cursor, limit) = (try context.cursor(), try context.pageLimit())
    let rows = try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
      try await store.list(before: cursor, limit: limit, in: tx)
    }
    return Envelope.page(try rows.map(json), nextCursor: rows.count == limit ? rows.last?.id : nil)
  }

  private static func create(_ context: APIContext) async throws -> HTTPResponse {
    let site = try context.site()
    let user = try context.caller().userID
    let (target, connection) = (context.int64("targetId"), context.int64("connectionId"))
    guard (target == nil) != (connection == nil) else {
      throw PublishingError(
        .invalid,
        "missing",
        "A schedule names either targetId or connectionId, exactly one of them",
        field: "targetId"
      )
    }
    let request = DispatchRequest(
      siteID: site,
      postID: context.int64("postId") ?? 0,
      connectionIDs: connection.map { [$0] } ?? [],
      targetIDs: target.map { [$0] } ?? [],
      scheduledFor: try DispatchRoutes.instant(context.string("scheduledFor")),
      options: try DispatchRoutes.options(of: context),
      userID: user,
      priority: context.int64("priority").flatMap { JobPriority(rawValue: Int16(clamping: $0)) },
      allowsRepeats: context.bool("allowDuplicate") ?? false
    )
    let key = try IdempotencyKey(context.request, site: site, user: user)
    return try await context.once(key) {
      let id = try await store.reserveID(context.services.pool)
      // Made once: what is stored with the key is what this request is answered.
      var answer = ""
      _ = try await context.services.dispatcher.dispatch(request) { dispatched in
        let plan = store.plan(id, request, dispatched)
        answer = Envelope.text(try json(plan))
        return DispatchRecord(first: key.map { [$0.take(status: 201, answer)] } ?? [], last: [store.insert(plan)])
      }
      return .json(answer, status: 201)
    }
  }

  private static func read(_ context: APIContext) async throws -> HTTPResponse {
    Envelope.ok(try json(try await load(context)))
  }

  private static func sendNow(_ context: APIContext) async throws -> HTTPResponse {
    let schedule = try await load(context)
    try await context.services.control.sendNow(
      schedule.deliveryID,
      site: try context.site(),
      user: context.principal?.userID
    )
    return Envelope.ok(try json(try await load(context)))
  }

  private static func cancel(_ context: APIContext) async throws -> HTTPResponse {
    let schedule = try await load(context)
    try await context.services.control.cancel(
      schedule.deliveryID,
      site: try context.site(),
      user: try context.caller().userID
    )
    return Envelope.ok(["canceled": true])
  }

  private static func load(_ context: APIContext) async throws -> Schedule {
    let id = try context.id()
    return try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
      try await store.schedule(id, in: tx)
    }
  }

  private static func json(_ schedule: Schedule) throws -> JSONValue {
    [
      "id": .int(schedule.id), "siteId": .int(schedule.siteID), "postId": .int(schedule.postID),
      "targetId": .number(schedule.targetID), "connectionId": .int(schedule.connectionID),
      "distributionId": .int(schedule.distributionID), "deliveryId": .int(schedule.deliveryID),
      "scheduledFor": .instant(schedule.scheduledFor), "options": try .stored(schedule.options),
      "status": .string(schedule.state.logWord), "createdAt": .instant(schedule.createdAt),
    ]
  }
}
