import Audit
import Cryptography
import FoundationEssentials
import HTTPServer
import Identity
import JSONDocument
import JobQueue
import Postgres
import WebhookEndpoints

/// Addresses that events are sent to, and the log of what was sent.
enum WebhookRoutes {
  private static let base = "/api/admin/distribution/webhooks"

  private static let types = Schema.array(.string(1...100), 0...50)
  private static let aboutTypes =
    "Kinds of events, families such as delivery.*, or *; empty for all. See the webhooks of this description"
  private static let aboutHost =
    "Also events that belong to no site: plugins, and notices of the host. For owners and operators"

  private static let members: [Schema.Field] = [
    .required("id", .id), .required("siteId", .id), .required("url", .string(8...2048)),
    .required("description", .string(0...500)), .required("eventTypes", types, aboutTypes),
    .required("hostEvents", .boolean, aboutHost), .required("isActive", .boolean),
    .required("disabledReason", .nullable(.choice(["gone", "failing"])), "Why the host stopped sending by itself"),
    .required("failures", .integer(0...Int64.max), "Requests that failed one after the other"),
    .required("failingSince", .nullable(.instant)), .required("lastSuccessAt", .nullable(.instant)),
    .required("previousSecretUntil", .nullable(.instant), "Until when the secret before the last rotation signs too"),
    .required("createdAt", .instant), .required("updatedAt", .instant),
  ]
  private static let shape = Schema.object(members)
  private static let shapeWithSecret = Schema.object(
    members + [.required("secret", .string(40...100), "Shown this one time: receivers check signatures with it")]
  )

  private static let messageMembers: [Schema.Field] = [
    .required("id", .id), .required("eventId", .string(1...100), "The webhook-id of every try and replay"),
    .required("type", .string(1...100)), .required("state", .choice(WebhookMessage.State.allCases.map(\.rawValue))),
    .required("attempts", .integer(0...Int64.max)), .required("createdAt", .instant),
    .required("endedAt", .nullable(.instant)),
  ]
  private static let messageShape = Schema.object(messageMembers)
  private static let messageStory = Schema.object(
    messageMembers + [
      .required("body", .any, "What is sent"),
      .required(
        "log",
        .array(
          .object([
            .required("requestedAt", .instant), .required("status", .nullable(.integer(100...999))),
            .required("durationMs", .integer(0...Int64.max)), .required("error", .nullable(.string(0...1000))),
            .required("answer", .nullable(.string(0...2000)), "The first bytes of the answer"),
          ]),
          0...100
        ),
        "The requests, newest first"
      ),
    ]
  )
  private static let replayShape = Schema.object([
    .required("replayed", .integer(0...Int64.max), "Messages that were put into the queue"),
    .required("hasMore", .boolean, "Whether there are more; send the request again"),
  ])

  private static let settings: [Schema.Field] = [
    .optional("description", .string(0...500)), .optional("eventTypes", types, aboutTypes),
    .optional("hostEvents", .boolean, aboutHost), .optional("isActive", .boolean),
  ]

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: base,
      summary: "Webhooks of a site, newest first",
      access: .site(.manageAccounts),
      query: [.siteID, .cursor, .limit],
      success: .page(shape),
      handler: list
    ),
    Endpoint(
      method: .post,
      path: base,
      summary: "Make a webhook; the answer shows its secret this one time",
      access: .site(.manageAccounts),
      query: [.siteID],
      body: .object([.siteID, .required("url", .url)] + settings),
      success: .json(201, shapeWithSecret),
      refusals: [409, 422],
      handler: create
    ),
    Endpoint(
      method: .get,
      path: "\(base)/{id}",
      summary: "One webhook",
      access: .site(.manageAccounts),
      query: [.siteID],
      success: .json(200, shape),
      handler: { context in
        let webhooks = context.services.webhooks
        return Envelope.ok(json(try await webhooks.endpoint(try context.id(), site: try context.site())))
      }
    ),
    Endpoint(
      method: .patch,
      path: "\(base)/{id}",
      summary: "Change a webhook; switching it on forgets its failures",
      access: .site(.manageAccounts),
      query: [.siteID],
      body: .object([.siteID, .optional("url", .url)] + settings),
      success: .json(200, shape),
      refusals: [409, 422],
      handler: update
    ),
    Endpoint(
      method: .delete,
      path: "\(base)/{id}",
      summary: "Remove a webhook and its secret",
      access: .site(.manageAccounts),
      query: [.siteID],
      success: .json(200, .object([.required("deleted", .boolean)])),
      handler: remove
    ),
    Endpoint(
      method: .post,
      path: "\(base)/{id}/rotate",
      summary: "Give a webhook a new secret; the one before signs too for a while",
      access: .site(.manageAccounts),
      query: [.siteID],
      body: .object([
        .siteID, .optional("overlapHours", .integer(0...168), "How long both secrets sign; 24 when left out"),
      ]),
      isSettledByItself: true,
      success: .json(200, shapeWithSecret),
      refusals: [409],
      handler: rotate
    ),
    Endpoint(
      method: .post,
      path: "\(base)/{id}/test",
      summary: "Send a message of the kind webhook.test; its log tells what came",
      access: .site(.manageAccounts),
      query: [.siteID],
      success: .json(202, messageShape),
      refusals: [409],
      handler: test
    ),
    Endpoint(
      method: .get,
      path: "\(base)/{id}/messages",
      summary: "Messages of a webhook, newest first",
      access: .site(.manageAccounts),
      query: [
        .siteID, .cursor, .limit, .optional("state", .choice(WebhookMessage.State.allCases.map(\.rawValue))),
      ],
      success: .page(messageShape),
      handler: messages
    ),
    Endpoint(
      method: .get,
      path: "\(base)/{id}/messages/{messageId}",
      summary: "One message and every request that was made for it",
      access: .site(.manageAccounts),
      query: [.siteID],
      success: .json(200, messageStory),
      handler: message
    ),
    Endpoint(
      method: .post,
      path: "\(base)/{id}/replay",
      summary: "Send one message again, or everything since a time that failed or was missed; event ids stay",
      access: .site(.manageAccounts),
      query: [.siteID],
      body: .object([.siteID, .optional("messageId", .id), .optional("since", .instant)]),
      isSettledByItself: true,
      success: .json(202, replayShape),
      refusals: [409],
      handler: replay
    ),
  ]

  // MARK: Endpoints

  private static func list(_ context: APIContext) async throws -> HTTPResponse {
    let limit = try context.pageLimit()
    let rows = try await context.services.webhooks.list(
      site: try context.site(),
      before: try context.cursor(),
      limit: limit
    )
    return Envelope.page(rows.map { json($0) }, nextCursor: rows.count == limit ? rows.last?.id : nil)
  }

  private static func create(_ context: APIContext) async throws -> HTTPResponse {
    let site = try context.site()
    let change = try change(context, site)
    let key = try IdempotencyKey(context.request, site: site, user: context.caller().userID)
    if let key, let answer = try await replay(key, site, context) { return answer }
    do {
      let (endpoint, secret) = try await context.services.webhooks.create(
        change,
        site: site,
        user: try context.caller().userID,
        // The number alone: the answer holds a secret, which a replay takes from where it is sealed.
        taking: { id in key.map { [$0.take(status: 201, "\(id)")] } ?? [] },
        also: { id in [context.audit(.webhookCreate, "webhook:\(id)", site: site)] }
      )
      return Envelope.ok(json(endpoint, secret: secret), status: 201)
    } catch let error as PostgresError where error.isUniqueViolation && error.table == "idempotency_keys" {
      if let key, let answer = try await replay(key, site, context) { return answer }
      throw error
    }
  }

  private static func replay(_ key: IdempotencyKey, _ site: Int64, _ context: APIContext) async throws -> HTTPResponse?
  {
    guard let (status, text) = try await key.earlier(context.services.pool), let id = Int64(text) else { return nil }
    let webhooks = context.services.webhooks
    let answer = json(
      try await webhooks.endpoint(id, site: site),
      secret: try await webhooks.secret(of: id, site: site)
    )
    return IdempotencyKey.replay(Envelope.text(answer), status: status)
  }

  private static func update(_ context: APIContext) async throws -> HTTPResponse {
    let (site, id) = (try context.site(), try context.id())
    let endpoint = try await context.services.webhooks.update(
      id,
      with: try change(context, site),
      site: site,
      also: [context.audit(.webhookUpdate, "webhook:\(id)", site: site)]
    )
    return Envelope.ok(json(endpoint))
  }

  private static func remove(_ context: APIContext) async throws -> HTTPResponse {
    let (site, id) = (try context.site(), try context.id())
    let audit = context.audit(.webhookDelete, "webhook:\(id)", site: site)
    try await context.services.webhooks.remove(id, site: site, also: [audit])
    return Envelope.ok(["deleted": true])
  }

  private static func rotate(_ context: APIContext) async throws -> HTTPResponse {
    let (site, id) = (try context.site(), try context.id())
    let (endpoint, secret) = try await context.services.webhooks.rotate(
      id,
      overlap: .seconds((context.int64("overlapHours") ?? 24) * 3_600),
      site: site,
      also: [context.audit(.webhookRotate, "webhook:\(id)", site: site)]
    )
    return Envelope.ok(json(endpoint, secret: secret))
  }

  private static func change(_ context: APIContext, _ site: Int64) throws -> WebhookEndpoints.Change {
    let caller = try context.caller()
    if context.bool("hostEvents") == true, !caller.isOperator, caller.roles[site] != .owner {
      throw HTTPProblem(
        status: 403,
        code: "forbidden",
        message: "Only an owner of the site or an operator may ask for events of the host",
        field: "hostEvents"
      )
    }
    return WebhookEndpoints.Change(
      url: context.string("url"),
      description: context.string("description"),
      eventTypes: context.strings("eventTypes"),
      takesHostEvents: context.bool("hostEvents"),
      isActive: context.bool("isActive")
    )
  }

  // MARK: Messages

  private static func test(_ context: APIContext) async throws -> HTTPResponse {
    let (site, id) = (try context.site(), try context.id())
    let audit = context.audit(.webhookTest, "webhook:\(id)", site: site)
    let number = try await context.services.webhooks.test(id, site: site, also: [audit])
    context.services.queue.wake()
    let (message, _) = try await context.services.webhooks.message(number, of: id, site: site)
    return Envelope.ok(.object(json(message)), status: 202)
  }

  private static func messages(_ context: APIContext) async throws -> HTTPResponse {
    let limit = try context.pageLimit()
    let rows = try await context.services.webhooks.messages(
      of: try context.id(),
      site: try context.site(),
      state: context.query["state"].flatMap(WebhookMessage.State.init),
      before: try context.cursor(),
      limit: limit
    )
    return Envelope.page(rows.map { .object(json($0)) }, nextCursor: rows.count == limit ? rows.last?.id : nil)
  }

  private static func message(_ context: APIContext) async throws -> HTTPResponse {
    let (message, attempts) = try await context.services.webhooks.message(
      try context.id("messageId"),
      of: try context.id(),
      site: try context.site()
    )
    var members = json(message)
    members["body"] = try .stored(message.body)
    members["log"] = .array(
      attempts.map { attempt in
        [
          "requestedAt": .instant(attempt.requestedAt), "status": .number(attempt.status),
          "durationMs": .int(Int64(attempt.milliseconds)), "error": .text(attempt.error),
          "answer": .text(attempt.answer),
        ]
      }
    )
    return Envelope.ok(.object(members))
  }

  private static func replay(_ context: APIContext) async throws -> HTTPResponse {
    let (site, id) = (try context.site(), try context.id())
    let audit = context.audit(.webhookReplay, "webhook:\(id)", site: site)
    let answer: (count: Int, hasMore: Bool)
    switch (context.int64("messageId"), context.string("since").flatMap(RFC3339.parse)) {
    case (let message?, nil):
      try await context.services.webhooks.replay(message: message, of: id, site: site, also: [audit])
      answer = (1, false)
    case (nil, let since?):
      answer = try await context.services.webhooks.replay(since: since, of: id, site: site, also: [audit])
    default:
      throw HTTPProblem(
        status: 400,
        code: "notAllowed",
        message: "Send either messageId, or since",
        field: "messageId"
      )
    }
    context.services.queue.wake()
    return Envelope.ok(["replayed": .int(Int64(answer.count)), "hasMore": .bool(answer.hasMore)], status: 202)
  }

  // MARK: Shapes

  private static func json(_ endpoint: WebhookEndpoint, secret: Secret? = nil) -> JSONValue {
    var members: [String: JSONValue] = [
      "id": .int(endpoint.id), "siteId": .int(endpoint.site), "url": .string(endpoint.url),
      "description": .string(endpoint.description), "eventTypes": .strings(endpoint.eventTypes),
      "hostEvents": .bool(endpoint.takesHostEvents), "isActive": .bool(endpoint.isActive),
      "disabledReason": .text(endpoint.disabledReason), "failures": .int(Int64(endpoint.failures)),
      "failingSince": .instant(endpoint.failingSince), "lastSuccessAt": .instant(endpoint.lastSuccessAt),
      "previousSecretUntil": .instant(endpoint.previousSecretUntil), "createdAt": .instant(endpoint.createdAt),
      "updatedAt": .instant(endpoint.updatedAt),
    ]
    if let secret { members["secret"] = .text(secret.revealText()) }
    return .object(members)
  }

  private static func json(_ message: WebhookMessage) -> [String: JSONValue] {
    [
      "id": .int(message.id), "eventId": .string(message.eventID), "type": .string(message.kind),
      "state": .string(message.state.rawValue), "attempts": .int(Int64(message.attempts)),
      "createdAt": .instant(message.createdAt), "endedAt": .instant(message.endedAt),
    ]
  }
}
