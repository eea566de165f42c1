import FoundationEssentials
import HTTPServer
import Identity
import JSONDocument
import JSONText
import JobQueue
import Postgres
import Publishing

/// Send a post, now or later.
enum DispatchRoutes {
  /// The options of a distribution; the words that older clients send at the top level mean the same.
  static let options = Schema.object([
    .optional("requestAiAssets", .boolean), .optional("customMessage", .string(1...70_000)),
    .optional(
      "overrides",
      .map(
        .object([
          .optional("text", .string(1...70_000)), .optional("hashtags", .array(.string(1...100), 0...50)),
          .optional("includeLink", .boolean),
          .optional(
            "segments",
            .array(.object([.optional("text", .string(0...25_000)), .optional("media", .array(.id, 0...20))]), 0...24),
            "The account's own thread, made of the post's files; an empty list sends the first post alone"
          ),
          .optional("options", .map(.any, limit: 50)),
        ]),
        limit: 100
      ),
      "By connection id"
    ),
  ])

  static let priority = Schema.Field.optional(
    "priority",
    .integer(1...4),
    "1 before 4 among the deliveries of an account; left out: 1 for now, 2 for later"
  )

  static let allowDuplicate = Schema.Field.optional(
    "allowDuplicate",
    .boolean,
    "Send although an account got the same text and media a short time ago, or is about to"
  )

  static let deliveryShape = Schema.object([
    .required("id", .id), .required("connectionId", .id), .required("targetId", .nullable(.id)),
    .required("platform", .string(1...40)), .required("state", .choice(DeliveryState.allCases.map(\.rawValue))),
  ])

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .post,
      path: "/api/admin/distribution/dispatch",
      summary: "Send a post to accounts, now or at an instant",
      access: .site(.publish),
      query: [.siteID],
      body: .object([
        .siteID, .required("postId", .id), .optional("connectionIds", .array(.id, 0...100)),
        .optional("targetIds", .array(.id, 0...100)),
        .optional("scheduledFor", .nullable(.instant), "Now when left out; an instant in the past is due at once"),
        .optional("options", options), .optional("requestAiAssets", .boolean, "Alias of options.requestAiAssets"),
        .optional("customMessage", .string(1...70_000), "Alias of options.customMessage"), priority, allowDuplicate,
      ]),
      success: .json(
        202,
        .object([
          .required("distributionId", .id), .required("deliveries", .array(deliveryShape, 1...100)),
          .required("jobIds", .array(.string(1...20), 1...100)), .required("scheduledFor", .instant),
          .required("postVersion", .id), .required("message", .string(1...500)),
          .required("warnings", .array(.string(1...500), 0...10)),
        ])
      ),
      refusals: [409, 422],
      handler: dispatch
    )
  ]

  private static func dispatch(_ context: APIContext) async throws -> HTTPResponse {
    let site = try context.site()
    let user = try context.caller().userID
    let request = DispatchRequest(
      siteID: site,
      postID: context.int64("postId") ?? 0,
      connectionIDs: context.int64s("connectionIds") ?? [],
      targetIDs: context.int64s("targetIds") ?? [],
      scheduledFor: try instant(context.string("scheduledFor")),
      options: try options(of: context),
      userID: user,
      priority: context.int64("priority").flatMap { JobPriority(rawValue: Int16(clamping: $0)) },
      allowsRepeats: context.bool("allowDuplicate") ?? false
    )
    let key = try IdempotencyKey(context.request, site: site, user: user)
    return try await context.once(key) {
      let dispatched = try await context.services.dispatcher.dispatch(request) { dispatched in
        DispatchRecord(first: key.map { [$0.take(status: 202, Envelope.text(json(dispatched)))] } ?? [])
      }
      return Envelope.ok(json(dispatched), status: 202)
    }
  }

  /// An instant of the checked body, within the times that can be planned for.
  static func instant(_ text: String?) throws -> Date? {
    guard let date = text.flatMap(RFC3339.parse) else { return nil }
    let latest = Date().addingTimeInterval(5 * 366 * 86_400)
    let earliest = Date().addingTimeInterval(-366 * 86_400)
    guard earliest...latest ~= date else {
      throw PublishingError(
        .invalid,
        "out_of_range",
        "scheduledFor is \(RFC3339.format(date)); allowed are instants from a year ago to five years ahead",
        field: "scheduledFor"
      )
    }
    return date
  }

  /// The options of a distribution from both places where clients put them.
  static func options(of context: APIContext) throws -> RawJSON {
    var members = context.member("options")?.objectValue ?? [:]
    for name in ["requestAiAssets", "customMessage"] {
      guard let alias = context.member(name) else { continue }
      if let own = members[name], own != alias {
        throw PublishingError(
          .invalid,
          "named_twice",
          "\(name) and options.\(name) say different things; send one of them",
          field: name
        )
      }
      members[name] = alias
    }
    for key in (members["overrides"]?.objectValue ?? [:]).keys.sorted() where Int64(key) == nil {
      throw PublishingError(
        .invalid,
        "notAllowed",
        "options.overrides has the key “\(key.prefix(40))”; allowed are connection ids",
        field: "options.overrides"
      )
    }
    return try RawJSON(text: JSONValue.object(members).text())
  }

  static func json(_ dispatched: Dispatched) -> JSONValue {
    let count = dispatched.deliveries.count
    return [
      "distributionId": .int(dispatched.distributionID),
      "deliveries": .array(dispatched.deliveries.map(json)),
      "jobIds": .strings(dispatched.deliveries.map { String($0.id) }),
      "scheduledFor": .instant(dispatched.scheduledFor),
      "postVersion": .int(Int64(dispatched.postVersion)),
      "message": .string(count == 1 ? "1 delivery accepted" : "\(count) deliveries accepted"),
      "warnings": .strings(dispatched.warnings),
    ]
  }

  private static func json(_ delivery: Dispatched.Delivery) -> JSONValue {
    [
      "id": .int(delivery.id), "connectionId": .int(delivery.connectionID), "targetId": .number(delivery.targetID),
      "platform": .string(delivery.platform), "state": .string(delivery.state.rawValue),
    ]
  }
}
