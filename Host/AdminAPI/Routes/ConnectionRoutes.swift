import Audit
import Cryptography
import HTTPServer
import Identity
import JSONDocument
import PluginHost
import PluginManifest
import Postgres
import Publishing

/// Connected accounts.
enum ConnectionRoutes {
  private static let store = ConnectionStore()
  private static let base = "/api/admin/distribution/connections"
  private static let statuses = ["active", "expired", "revoked", "error"]

  private static let shape = Schema.object([
    .required("id", .id), .required("siteId", .id), .required("platform", .string(1...40)),
    .required("accountId", .string(1...256)), .required("accountName", .string(0...500)),
    .required("accountHandle", .nullable(.string(0...500))), .required("accountUrl", .nullable(.string(0...2048))),
    .required("endpoint", .nullable(.string(0...2048))),
    .required("origin", .nullable(.string(0...2048)), "The server of the account, as it was confirmed"),
    .required("status", .choice(statuses)),
    .required("statusReason", .nullable(.string(0...4000))), .required("isActive", .boolean),
    .required("capabilities", .any), .required("expiresAt", .nullable(.instant)),
    .required("lastValidatedAt", .nullable(.instant)), .required("lastUsedAt", .nullable(.instant)),
    .required("createdAt", .instant), .required("updatedAt", .instant),
    .optional("generated", .map(.string(0...500), limit: 10), "Secrets that the host made; shown this one time"),
  ])

  private static let health = Schema.object([
    .required("id", .id), .required("status", .choice(statuses)),
    .required("statusReason", .nullable(.string(0...4000))),
    .required("isValid", .boolean, "In use, and not ended as far as that is known"),
    .required("isRenewed", .boolean, "Whether the host renews the token by itself"),
    .required("issuedAt", .nullable(.instant)), .required("expiresAt", .nullable(.instant)),
    .required("renewAt", .nullable(.instant)), .required("lastRenewedAt", .nullable(.instant)),
    .required("lastValidatedAt", .nullable(.instant)), .required("lastUsedAt", .nullable(.instant)),
    .required("scopes", .nullable(.array(.string(1...500), 0...200))),
    .required("appId", .nullable(.id), "The site's own application; none for the host's"),
    .required(
      "failure",
      .nullable(
        .object([
          .required("fault", .nullable(.choice(RenewalFault.allCases.map(\.rawValue)))),
          .required("message", .string(0...500)), .required("at", .nullable(.instant)),
          .required("retryAt", .nullable(.instant)), .required("count", .integer(0...Int64(Int32.max))),
        ])
      ),
      "Why the newest renewal failed"
    ),
  ])

  private static let credentials = Schema.map(.string(1...8192), limit: 10)

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: base,
      summary: "Connected accounts, newest first",
      access: .site(.read),
      query: [
        .siteID, .optional("platform", .string(1...40)), .optional("status", .choice(statuses)), .cursor, .limit,
      ],
      success: .page(shape),
      handler: list
    ),
    Endpoint(
      method: .post,
      path: base,
      summary: "Connect an account with credentials entered by hand",
      access: .site(.manageAccounts),
      query: [.siteID],
      body: .object([
        .siteID, .required("platform", .string(1...40), "A plugin's id or one of its aliases"),
        .optional("credentials", credentials, "By the names of the plugin's secrets, such as token"),
        .optional("fields", .map(.string(0...2048), limit: 10), "Such as endpoint or origin"),
      ]),
      success: .json(201, shape),
      refusals: [409, 422],
      handler: connect
    ),
    Endpoint(
      method: .get,
      path: "\(base)/{id}",
      summary: "One connected account",
      access: .site(.read),
      query: [.siteID],
      success: .json(200, shape),
      handler: read
    ),
    Endpoint(
      method: .put,
      path: "\(base)/{id}",
      summary: "Enter new credentials; the account stays the same, and so do schedules and history",
      access: .site(.manageAccounts),
      query: [.siteID],
      body: .object([.siteID, .required("credentials", credentials)]),
      success: .json(200, shape),
      refusals: [409, 422],
      handler: replace
    ),
    Endpoint(
      method: .post,
      path: "\(base)/{id}/test",
      summary: "Ask the platform whether the credentials still work",
      access: .site(.manageAccounts),
      query: [.siteID],
      success: .json(200, shape),
      refusals: [409, 422],
      handler: test
    ),
    Endpoint(
      method: .put,
      path: "\(base)/{id}/refresh",
      summary: "Renew the token now; the host does it by itself in time",
      access: .site(.manageAccounts),
      query: [.siteID],
      success: .json(200, health),
      refusals: [409, 422, 503],
      handler: refresh
    ),
    Endpoint(
      method: .get,
      path: "\(base)/{id}/health",
      summary: "How good the credentials are, and what is known of their renewal",
      access: .site(.read),
      query: [.siteID],
      success: .json(200, health),
      handler: readHealth
    ),
    Endpoint(
      method: .delete,
      path: "\(base)/{id}",
      summary: "Disconnect an account; its credentials are ended at the platform and wiped, its history stays",
      access: .site(.manageAccounts),
      query: [.siteID],
      success: .json(
        200,
        .object([
          .required("deleted", .boolean),
          .required(
            "revocation",
            .choice(RevocationOutcome.allCases.map(\.rawValue)),
            "What the platform did so far; pending goes on by itself, unsupported is done by hand at the platform"
          ),
        ])
      ),
      handler: remove
    ),
  ]

  private static func list(_ context: APIContext) async throws -> HTTPResponse {
    let (cursor, limit) = (try context.cursor(), try context.pageLimit())
    let named = context.query["platform"]
    // An alias finds what is stored under the plugin's id.
    let platform = named.map { context.services.plugins.manifest(for: $0)?.id ?? $0 }
    let status = context.query["status"]
    let rows = try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
      try await store.list(platform: platform, status: status, before: cursor, limit: limit, in: tx)
    }
    return Envelope.page(try rows.map { try json($0) }, nextCursor: rows.count == limit ? rows.last?.id : nil)
  }

  private static func connect(_ context: APIContext) async throws -> HTTPResponse {
    let site = try context.site()
    let request = ConnectionRequest(
      siteID: site,
      userID: try context.caller().userID,
      platform: context.string("platform") ?? "",
      credentials: secrets(context),
      fields: (context.member("fields")?.objectValue ?? [:]).compactMapValues(\.stringValue)
    )
    let key = try key(context, site: site)
    let services = context.services
    if let key, let answer = try await replay(key, request, services) { return answer }
    do {
      let (id, generated) = try await services.connections.connect(
        request,
        taking: key.map { [$0.take(status: 201)] } ?? []
      ) { id, tx in
        guard let key else { return }
        // Without the secrets that the host made: a replay takes those from where they are sealed.
        try await tx.execute(key.remember(Envelope.text(try json(try await store.connection(id, in: tx)))))
      }
      return Envelope.ok(try json(try await load(id, context), generated: generated), status: 201)
    } catch let error as PostgresError where error.isUniqueViolation && error.table == "idempotency_keys" {
      if let key, let answer = try await replay(key, request, services) { return answer }
      throw error
    }
  }

  /// The request holds secrets, which are not kept in any form that somebody with the database could guess at: its hash
  /// is made with the caller's token, which is not in the database.
  private static func key(_ context: APIContext, site: Int64) throws -> IdempotencyKey? {
    let token = context.request.headers["authorization"] ?? ""
    return try IdempotencyKey(
      context.request,
      site: site,
      user: context.caller().userID,
      content: HMACSHA256.authenticate(context.request.body.bytes, key: Secret(token))
    )
  }

  private static func replay(
    _ key: IdempotencyKey,
    _ request: ConnectionRequest,
    _ services: APIServices
  ) async throws -> HTTPResponse? {
    guard let (status, text) = try await key.earlier(services.pool) else { return nil }
    let answer = try JSONValue.parse(Array(text.utf8))
    guard let id = answer.pointer("/data/id")?.int64Value else { return IdempotencyKey.replay(text, status: status) }
    let generated = try await services.connections.generated(id, site: request.siteID, entered: request.credentials)
    var data = answer.pointer("/data")?.objectValue ?? [:]
    add(generated, to: &data)
    return IdempotencyKey.replay(Envelope.text(.object(data)), status: status)
  }

  private static func read(_ context: APIContext) async throws -> HTTPResponse {
    Envelope.ok(try json(try await load(try context.id(), context)))
  }

  private static func replace(_ context: APIContext) async throws -> HTTPResponse {
    let id = try context.id()
    let site = try context.site()
    let audit = context.audit(.connectionUpdate, "connection:\(id)", site: site)
    try await context.services.connections.replaceCredentials(id, with: secrets(context), site: site) { tx in
      try await tx.execute(audit)
    }
    return Envelope.ok(try json(try await load(id, context)))
  }

  private static func test(_ context: APIContext) async throws -> HTTPResponse {
    let id = try context.id()
    let site = try context.site()
    let audit = context.audit(.connectionTest, "connection:\(id)", site: site)
    try await context.services.connections.test(id, site: site, audit: audit)
    return Envelope.ok(try json(try await load(id, context)))
  }

  private static func remove(_ context: APIContext) async throws -> HTTPResponse {
    let (id, site) = (try context.id(), try context.site())
    let audit = context.audit(.connectionDelete, "connection:\(id)", site: site)
    let outcome = try await context.services.connections.disconnect(id, site: site, audit: audit)
    return Envelope.ok(["deleted": true, "revocation": .string(outcome.rawValue)])
  }

  private static func refresh(_ context: APIContext) async throws -> HTTPResponse {
    try await context.services.connections.renew(try context.id(), site: try context.site())
    return try await readHealth(context)
  }

  private static func readHealth(_ context: APIContext) async throws -> HTTPResponse {
    let id = try context.id()
    let health = try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
      try await store.health(id, in: tx)
    }
    return Envelope.ok(json(health))
  }

  private static func json(_ health: ConnectionHealth) -> JSONValue {
    [
      "id": .int(health.id), "status": .string(health.status), "statusReason": .text(health.statusReason),
      "isValid": .bool(health.isValid), "isRenewed": .bool(health.isRenewed), "issuedAt": .instant(health.issuedAt),
      "expiresAt": .instant(health.expiresAt), "renewAt": .instant(health.renewAt),
      "lastRenewedAt": .instant(health.lastRenewedAt), "lastValidatedAt": .instant(health.lastValidatedAt),
      "lastUsedAt": .instant(health.lastUsedAt),
      "scopes": health.scopes.map { .array($0.map { .string($0) }) } ?? .null,
      "appId": health.appID.map { .int($0) } ?? .null,
      "failure": health.failure.map { failure in
        [
          "fault": .text(failure.fault), "message": .string(failure.message), "at": .instant(failure.at),
          "retryAt": .instant(failure.retryAt), "count": .int(Int64(failure.count)),
        ]
      } ?? .null,
    ]
  }

  private static func load(_ id: Int64, _ context: APIContext) async throws -> Connection {
    try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
      try await store.connection(id, in: tx)
    }
  }

  private static func secrets(_ context: APIContext) -> [String: Secret] {
    (context.member("credentials")?.objectValue ?? [:]).compactMapValues { $0.stringValue.map { Secret($0) } }
  }

  private static func json(_ connection: Connection, generated: [String: Secret] = [:]) throws -> JSONValue {
    var members: [String: JSONValue] = [
      "id": .int(connection.id), "siteId": .int(connection.siteID), "platform": .string(connection.platform),
      "accountId": .string(connection.accountID), "accountName": .string(connection.accountName),
      "accountHandle": .text(connection.accountHandle), "accountUrl": .text(connection.accountURL),
      "endpoint": .text(connection.endpoint), "origin": .text(connection.origin), "status": .string(connection.status),
      "statusReason": .text(connection.statusReason), "isActive": .bool(connection.isActive),
      "capabilities": try .stored(connection.capabilities), "expiresAt": .instant(connection.expiresAt),
      "lastValidatedAt": .instant(connection.lastValidatedAt), "lastUsedAt": .instant(connection.lastUsedAt),
      "createdAt": .instant(connection.createdAt), "updatedAt": .instant(connection.updatedAt),
    ]
    add(generated, to: &members)
    return .object(members)
  }

  /// Shown to the person who connects alone: without it the receiver can not check signatures.
  private static func add(_ generated: [String: Secret], to members: inout [String: JSONValue]) {
    guard !generated.isEmpty else { return }
    members["generated"] = .object(generated.compactMapValues { $0.revealText().map { .string($0) } })
  }
}
