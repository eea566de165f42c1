import Audit
import HTTPServer
import Identity
import JSONDocument
import JobQueue
import PluginHost
import PluginManifest
import Postgres
import Publishing

/// How much of a platform's limits is left, and the operator's own limits.
enum LimitRoutes {
  private static let store = LimitStore()
  private static let ofConnection = "/api/admin/distribution/connections/{id}/limits"
  private static let ofPlatform = "/api/admin/distribution/platforms/{platform}/limits"
  private static let scopes = LimitScope.allCases.map(\.rawValue)

  private static let limit = Schema.object([
    .optional("unlimited", .boolean, "No limit at all"),
    .optional("count", .integer(1...1_000_000), "So many posts"),
    .optional("windowSeconds", .integer(1...2_678_400), "in such a time"),
  ])

  private static let setLimit = Schema.nullable(
    .object([
      .required("unlimited", .boolean), .required("count", .nullable(.integer(1...1_000_000))),
      .required("windowSeconds", .nullable(.integer(1...2_678_400))),
    ])
  )

  static let hold = Schema.object([
    .required("extent", .choice(LaneHold.Extent.allCases.map(\.rawValue))), .required("platform", .string(1...40)),
    .required("connectionId", .nullable(.id)), .required("until", .instant),
    .required("reason", .nullable(.string(1...40)), "rateLimited, pacing or breaker"),
  ])

  private static let shape = Schema.object([
    .required("connectionId", .id), .required("platform", .string(1...40)),
    .required("warning", .boolean, "Whether four fifths of a limit are used up"),
    .required(
      "limits",
      .array(
        .object([
          .required("scope", .choice(scopes)), .required("rule", .nullable(.string(1...80))),
          .required("source", .choice(Quota.Source.allCases.map(\.rawValue))),
          .required("limit", .nullable(.integer(0...Int64.max))),
          .required("remaining", .nullable(.integer(0...Int64.max))), .required("resetsAt", .nullable(.instant)),
          .required("measuredAt", .instant), .required("warning", .boolean),
        ]),
        0...500
      )
    ),
    .required("holds", .array(hold, 0...50)),
    .required(
      "breakers",
      .array(
        .object([
          .required("scope", .choice(["connection", "platform"])), .required("state", .choice(["open", "halfOpen"])),
          .required("openedAt", .instant), .required("openUntil", .instant),
          .required("trips", .integer(1...Int64.max)), .required("error", .string(0...4000)),
        ]),
        0...2
      )
    ),
    .required("override", setLimit, "The operator's limit of this account alone"),
  ])

  private static let platformShape = Schema.object(
    [.required("platform", .string(1...40))] + scopes.map { .required($0, setLimit) }
  )

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: ofConnection,
      summary: "What is left of an account's limits: by the platform's answers, and by the host's own count",
      access: .site(.read),
      query: [.siteID],
      success: .json(200, shape),
      handler: { context in try await read(context, site: try context.site()) }
    ),
    Endpoint(
      method: .put,
      path: ofConnection,
      summary: "Set another limit for one account than its plugin does",
      access: .operatorOnly,
      body: limit,
      success: .json(200, shape),
      handler: { context in try await change(context, try override(context.body, "")) }
    ),
    Endpoint(
      method: .delete,
      path: ofConnection,
      summary: "Give an account back the limit of its platform",
      access: .operatorOnly,
      success: .json(200, shape),
      handler: { context in try await change(context, nil) }
    ),
    Endpoint(
      method: .get,
      path: ofPlatform,
      summary: "The limits that an operator set for a platform",
      access: .operatorOnly,
      success: .json(200, platformShape),
      handler: { context in try await platformAnswer(try platform(context), context) }
    ),
    Endpoint(
      method: .put,
      path: ofPlatform,
      summary: "Set other limits for a platform than its plugin does; a scope that is null goes back to the plugin's",
      access: .operatorOnly,
      body: .object(scopes.map { .optional($0, .nullable(limit)) }),
      success: .json(200, platformShape),
      handler: changePlatform
    ),
    Endpoint(
      method: .delete,
      path: ofPlatform,
      summary: "Give a platform back the limits of its plugin",
      access: .operatorOnly,
      success: .json(200, platformShape),
      handler: { context in
        let platform = try platform(context)
        for scope in LimitScope.allCases {
          try await context.services.lanes.set(nil, scope: scope, platform: platform)
        }
        return try await platformAnswer(platform, context)
      }
    ),
  ]

  // MARK: Accounts

  /// - Parameter site: nil for an operator, who sees all.
  private static func read(_ context: APIContext, site: Int64?) async throws -> HTTPResponse {
    let id = try context.id()
    let pool = context.services.pool
    let (connection, quotas, holds, breakers) = try await pool.transaction(
      scope: site.map { .site($0) } ?? .owner
    ) { tx in
      (
        try await ConnectionStore().connection(id, in: tx), try await store.quotas(connection: id, in: tx),
        try await store.holds(connection: id, in: tx), try await store.breakers(connection: id, in: tx)
      )
    }
    let overrides = try await LimitService.overrides(platform: connection.platform, connection: id, in: pool)
    return Envelope.ok([
      "connectionId": .int(id), "platform": .string(connection.platform),
      "warning": .bool(quotas.contains(where: \.isLow)),
      "limits": .array(quotas.map(json)), "holds": .array(holds.map(json)), "breakers": .array(breakers.map(json)),
      "override": json(overrides.account),
    ])
  }

  private static func change(_ context: APIContext, _ value: LimitOverride?) async throws -> HTTPResponse {
    let id = try context.id()
    let connection = try await context.services.pool.transaction(scope: .owner) { tx in
      try await ConnectionStore().connection(id, in: tx)
    }
    try await context.services.lanes.set(
      value,
      scope: .perAccount,
      platform: connection.platform,
      connection: id,
      user: context.principal?.userID,
      also: [context.audit(.limitsChange, "connection:\(id)", site: connection.siteID)]
    )
    context.services.queue.wake()
    return try await read(context, site: nil)
  }

  // MARK: Platforms

  private static func platform(_ context: APIContext) throws -> String {
    let name = try context.request.parameters.string("platform")
    guard let manifest = context.services.plugins.manifest(for: name) else {
      throw HTTPProblem(
        status: 404,
        code: "platform_not_found",
        message: "No plugin for “\(name.prefix(40))” is installed",
        field: "platform"
      )
    }
    return manifest.id
  }

  private static func changePlatform(_ context: APIContext) async throws -> HTTPResponse {
    let platform = try platform(context)
    var values: [(LimitScope, LimitOverride?)] = []
    for scope in LimitScope.allCases {
      guard let value = context.member(scope.rawValue) else { continue }
      values.append((scope, value.isNull ? nil : try override(value, scope.rawValue + ".")))
    }
    for (scope, value) in values {
      try await context.services.lanes.set(
        value,
        scope: scope,
        platform: platform,
        user: context.principal?.userID,
        also: [
          context.audit(
            .limitsChange,
            "platform:\(platform)",
            site: nil,
            details: "jsonb_build_object('scope', \(scope.rawValue)::text)"
          )
        ]
      )
    }
    context.services.queue.wake()
    return try await platformAnswer(platform, context)
  }

  private static func platformAnswer(_ platform: String, _ context: APIContext) async throws -> HTTPResponse {
    let overrides = try await LimitService.overrides(platform: platform, in: context.services.pool)
    var members: [String: JSONValue] = ["platform": .string(platform)]
    for scope in LimitScope.allCases { members[scope.rawValue] = json(overrides.platform[scope]) }
    return Envelope.ok(.object(members))
  }

  /// Either no limit, or a number and a time.
  private static func override(_ body: JSONValue, _ path: String) throws -> LimitOverride {
    let members = body.objectValue ?? [:]
    let (count, seconds) = (members["count"]?.int64Value, members["windowSeconds"]?.int64Value)
    let isUnlimited = members["unlimited"]?.boolValue ?? false
    switch (isUnlimited, count, seconds) {
    case (true, nil, nil): return .unlimited
    case (false, let count?, let seconds?): return .count(Int(count), per: .seconds(seconds))
    default:
      throw HTTPProblem(
        status: 400,
        code: "notAllowed",
        message: "Send either unlimited as true, or count and windowSeconds",
        field: path + (isUnlimited ? "unlimited" : count == nil ? "count" : "windowSeconds")
      )
    }
  }

  // MARK: JSON

  private static func json(_ value: LimitOverride?) -> JSONValue {
    switch value {
    case nil: .null
    case .unlimited: ["unlimited": true, "count": .null, "windowSeconds": .null]
    case .count(let count, let window):
      ["unlimited": false, "count": .int(Int64(count)), "windowSeconds": .int(window.components.seconds)]
    }
  }

  private static func json(_ quota: Quota) -> JSONValue {
    [
      "scope": .string(quota.scope.rawValue), "rule": .text(quota.rule), "source": .string(quota.source.rawValue),
      "limit": .number(quota.limit), "remaining": .number(quota.remaining), "resetsAt": .instant(quota.resetsAt),
      "measuredAt": .instant(quota.measuredAt), "warning": .bool(quota.isLow),
    ]
  }

  static func json(_ hold: LaneHold) -> JSONValue {
    [
      "extent": .string(hold.extent.rawValue), "platform": .string(hold.platform),
      "connectionId": .number(hold.connectionID), "until": .instant(hold.until), "reason": .text(hold.reason),
    ]
  }

  private static func json(_ breaker: BreakerView) -> JSONValue {
    [
      "scope": .string(breaker.isPlatform ? "platform" : "connection"), "state": .string(breaker.phase.rawValue),
      "openedAt": .instant(breaker.openedAt), "openUntil": .instant(breaker.openUntil),
      "trips": .int(Int64(breaker.trips)), "error": .string(breaker.error),
    ]
  }
}
