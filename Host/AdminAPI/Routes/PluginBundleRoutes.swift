import HTTPServer
import Identity
import JSONDocument
import PluginManifest
import PluginStore
import Postgres

/// The installed set of plugins, for operators.
enum PluginBundleRoutes {
  private static let bundle = Schema.object([
    .required("id", .string(1...40)), .required("name", .string(1...80)), .required("version", .string(1...64)),
    .required("digest", .string(71...71)), .required("publisher", .string(55...55)),
    .required("source", .string(0...2048)), .required("isFirstParty", .boolean), .required("bytes", .id),
    .required("approvedBy", .nullable(.string(1...200))), .required("approvedAt", .nullable(.instant)),
    .required("createdAt", .instant),
  ])
  private static let words = Schema.array(.string(1...5000), 0...5000)
  private static let outcome = Schema.object([
    .required("outcome", .choice(["installed", "unchanged", "waiting"])), .required("plugin", bundle),
    .required("previous", .nullable(.string(1...64)), "The version that ran before"),
    .required("asks", words, "What somebody has to approve before it runs, in plain words"),
    .required("formerPublisher", .nullable(.string(55...55)), "The key before, when another one signed this version"),
  ])
  private static let detail = Schema.object([
    .required("generation", .integer(0...Int64.max)), .required("current", .nullable(bundle)),
    .required("grants", words), .required("waiting", .nullable(bundle)), .required("asks", words),
    .required("kept", .array(bundle, 0...1000), "Versions to go back to, and others that are kept"),
  ])
  private static let event = Schema.object([
    .required("id", .id), .required("plugin", .string(1...40)), .required("version", .nullable(.string(1...64))),
    .required("kind", .string(1...40)), .required("message", .string(0...10_000)), .required("details", .any),
    .required("by", .string(1...300)), .required("at", .instant),
  ])
  private static let approve = Schema.Field.optional(
    "approve",
    .boolean,
    "Approve everything that it asks for; otherwise a bundle that asks for more than its predecessor waits"
  )

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .post,
      path: "/api/plugins",
      summary: "Install a plugin or another version of one: the bytes of its bundle are the body",
      access: .operatorOnly,
      query: [approve],
      isUpload: true,
      isSettledByItself: true,
      success: .json(200, outcome),
      refusals: [404, 409, 422],
      handler: upload
    ),
    Endpoint(
      method: .post,
      path: "/api/plugins/-/download",
      summary: "Install a plugin or another version of one from an address",
      access: .operatorOnly,
      body: .object([.required("url", .url), approve]),
      isSettledByItself: true,
      success: .json(200, outcome),
      refusals: [404, 409, 422],
      handler: download
    ),
    Endpoint(
      method: .get,
      path: "/api/plugins/-/lock",
      summary: "What runs and what it was granted, as plugins.lock.json has it",
      access: .operatorOnly,
      success: .json(200, .any),
      handler: { Envelope.ok(LockFile.document(try await registry($0).current())) }
    ),
    Endpoint(
      method: .get,
      path: "/api/plugins/-/egress",
      summary: "The servers that plugins may reach, for a firewall",
      access: .operatorOnly,
      success: .json(
        200,
        .object([
          .required("hosts", .array(.string(1...300), 0...10_000), "host:port"),
          .required("userAddresses", .array(.string(1...40), 0...1000), "Plugins that reach what users enter"),
        ])
      ),
      handler: egress
    ),
    Endpoint(
      method: .get,
      path: "/api/plugins/{plugin}",
      summary: "One plugin: its version, what it may do, and what waits for approval",
      access: .operatorOnly,
      success: .json(200, detail),
      handler: read
    ),
    Endpoint(
      method: .get,
      path: "/api/plugins/{plugin}/events",
      summary: "What happened to a plugin, newest first",
      access: .operatorOnly,
      query: [.cursor, .limit],
      success: .page(event),
      handler: events
    ),
    Endpoint(
      method: .post,
      path: "/api/plugins/{plugin}/approve",
      summary: "Approve what the waiting version asks for, and use it",
      access: .operatorOnly,
      body: .object([.required("digest", .string(71...71), "The bundle that was looked at")]),
      isSettledByItself: true,
      success: .json(200, outcome),
      refusals: [409],
      handler: approve
    ),
    Endpoint(
      method: .post,
      path: "/api/plugins/{plugin}/refuse",
      summary: "Throw away the version that waits for approval",
      access: .operatorOnly,
      body: .object([]),
      isSettledByItself: true,
      success: .json(200, .object([.required("refused", .boolean)])),
      handler: refuse
    ),
    Endpoint(
      method: .post,
      path: "/api/plugins/{plugin}/rollback",
      summary: "Go back to an earlier version",
      access: .operatorOnly,
      body: .object([
        .optional("version", .string(5...64), "The one before the current one when left out"),
        .optional("reason", .string(1...500)),
      ]),
      isSettledByItself: true,
      success: .json(200, .object([.required("plugin", bundle), .required("generation", .id)])),
      refusals: [409],
      handler: rollBack
    ),
    Endpoint(
      method: .delete,
      path: "/api/plugins/{plugin}",
      summary: "Remove a plugin; its connections stay, and their deliveries wait",
      access: .operatorOnly,
      success: .json(200, .object([.required("removed", .boolean)])),
      handler: remove
    ),
  ]

  // MARK: Handlers

  private static func upload(_ context: APIContext) async throws -> HTTPResponse {
    let file = try intake(context).folder.receive()
    for try await chunk in context.request.body.chunks() { try file.append(chunk) }
    return try await install(file, source: "an upload", approves: context.query["approve"] == "true", context)
  }

  private static func download(_ context: APIContext) async throws -> HTTPResponse {
    let (intake, url) = (try intake(context), context.string("url") ?? "")
    let file = try intake.folder.receive()
    try await intake.download(url, file)
    return try await install(file, source: url, approves: context.bool("approve") ?? false, context)
  }

  private static func install(
    _ file: IncomingBundle,
    source: String,
    approves: Bool,
    _ context: APIContext
  ) async throws -> HTTPResponse {
    let origin = PluginRegistry.Origin(source: source, actor: try actor(context), approves: approves)
    let result = try await registry(context).install(file.path, origin)
    withExtendedLifetime(file) {}
    return answer(result)
  }

  private static func approve(_ context: APIContext) async throws -> HTTPResponse {
    let result = try await registry(context).approve(
      try name(context),
      digest: context.string("digest"),
      by: try actor(context)
    )
    return answer(result)
  }

  private static func refuse(_ context: APIContext) async throws -> HTTPResponse {
    let id = try name(context)
    try await registry(context).refuse(id, by: try actor(context))
    return Envelope.ok(["refused": true])
  }

  private static func rollBack(_ context: APIContext) async throws -> HTTPResponse {
    let id = try name(context)
    let back = try await registry(context).rollBack(
      id,
      to: context.string("version"),
      reason: context.string("reason") ?? "asked for over the API",
      by: try actor(context)
    )
    guard let back else { throw StoreError(.conflict, "\(id) was changed by somebody else at this moment") }
    return Envelope.ok(["plugin": json(back.bundle), "generation": .int(back.generation)])
  }

  private static func remove(_ context: APIContext) async throws -> HTTPResponse {
    let id = try name(context)
    _ = try await registry(context).remove(id, by: try actor(context))
    return Envelope.ok(["removed": true])
  }

  private static func read(_ context: APIContext) async throws -> HTTPResponse {
    let (registry, id) = (registry(context), try name(context))
    let generation = try await registry.current()
    let current = generation.bundle(of: id)
    let waiting = try await registry.waiting().first { $0.id == id }
    guard current != nil || waiting != nil else { throw StoreError(.notFound, "No plugin \(id) is installed") }
    let approval = waiting.flatMap { Approval.needed(for: $0.manifest, after: current?.manifest) }
    return Envelope.ok([
      "generation": .int(generation.number), "current": current.map(json) ?? .null,
      "grants": .strings((current?.manifest.grants.all ?? []).map(\.words)), "waiting": waiting.map(json) ?? .null,
      "asks": .strings((approval?.grants ?? []).map(\.words)),
      "kept": .array(try await registry.bundles(of: current?.id ?? id).map(json)),
    ])
  }

  private static func events(_ context: APIContext) async throws -> HTTPResponse {
    let (cursor, limit) = (try context.cursor(), try context.pageLimit())
    let rows = try await registry(context).events(of: try name(context), before: cursor, limit: limit)
    let shown: [JSONValue] = try rows.map { row in
      [
        "id": .int(row.id), "plugin": .string(row.plugin), "version": .text(row.version), "kind": .string(row.kind),
        "message": .string(row.message), "details": try .stored(row.details), "by": .string(row.madeBy),
        "at": .instant(row.createdAt),
      ]
    }
    return Envelope.page(shown, nextCursor: rows.count == limit ? rows.last?.id : nil)
  }

  private static func egress(_ context: APIContext) async throws -> HTTPResponse {
    let bundles = try await registry(context).current().bundles
    return Envelope.ok([
      "hosts": .strings(Set(bundles.flatMap(\.manifest.grants.hosts)).sorted()),
      "userAddresses": .strings(bundles.filter(\.manifest.grants.usesAccountAddresses).map(\.id)),
    ])
  }

  // MARK: Parts

  private static func registry(_ context: APIContext) -> PluginRegistry {
    PluginRegistry(pool: context.services.pool) { context.entry($0, $1, site: nil) }
  }

  private static func intake(_ context: APIContext) throws -> BundleIntake {
    guard let intake = context.services.bundles else {
      throw HTTPProblem.unavailable("This host takes no bundles")
    }
    return intake
  }

  /// A plugin's name of the path, which may be anything.
  private static func name(_ context: APIContext) throws -> String {
    let name = try context.request.parameters.string("plugin")
    guard name.utf8.count <= 40, !name.utf8.contains(0) else {
      throw StoreError(.notFound, "No plugin of that name is installed")
    }
    return name
  }

  private static func actor(_ context: APIContext) throws -> String {
    let caller = try context.caller()
    return "\(caller.name.prefix(100)) (user \(caller.userID))"
  }

  private static func answer(_ result: InstallOutcome) -> HTTPResponse {
    let (word, row, previous, approval): (String, StoredBundle, SemanticVersion?, Approval?) =
      switch result {
      case .installed(let bundle, let previous, _): ("installed", bundle, previous, nil)
      case .unchanged(let bundle): ("unchanged", bundle, nil, nil)
      case .waiting(let bundle, let approval): ("waiting", bundle, nil, approval)
      }
    return Envelope.ok([
      "outcome": .string(word), "plugin": json(row), "previous": .text(previous.map { "\($0)" }),
      "asks": .strings((approval?.grants ?? []).map(\.words)), "formerPublisher": .text(approval?.formerPublisher),
    ])
  }

  private static func json(_ row: StoredBundle) -> JSONValue {
    [
      "id": .string(row.id), "name": .string(row.manifest.manifest.name), "version": .string("\(row.version)"),
      "digest": .string(row.digest), "publisher": .string(row.manifest.publisher), "source": .string(row.source),
      "isFirstParty": .bool(row.isFirstParty), "bytes": .int(row.bytes), "approvedBy": .text(row.approvedBy),
      "approvedAt": .instant(row.approvedAt), "createdAt": .instant(row.createdAt),
    ]
  }
}
