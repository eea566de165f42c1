import Audit
import HTTPServer
import Identity
import JSONDocument
import JobQueue
import Postgres
import Publishing

/// What authors write.
enum PostRoutes {
  private static let store = PostStore()

  private static let attachment = Schema.object([
    .required("mediaId", .id), .optional("alt", .string(0...1500), "Words for people who can not see it"),
  ])

  private static let segment = Schema.object([
    .optional("text", .string(0...25_000)), .optional("media", .array(attachment, 0...20)),
  ])

  private static let members: [Schema.Field] = [
    .required("title", .string(1...300)), .optional("excerpt", .string(0...5000), "The text of short platforms"),
    .optional("content", .string(0...500_000)), .optional("url", .nullable(.url), "The address of the whole post"),
    .optional("tags", .array(.string(1...100), 0...50)), .optional("mentions", .array(.string(1...100), 0...50)),
    .optional("media", .array(attachment, 0...20)),
    .optional("segments", .array(segment, 0...24), "The posts that follow in a thread; the post itself is the first"),
  ]

  private static let attached = Schema.array(
    .object([.required("mediaId", .id), .required("alt", .string(0...1500))]),
    0...20
  )

  private static let shape = Schema.object([
    .required("id", .id), .required("siteId", .id), .required("version", .id), .required("title", .string(1...300)),
    .required("excerpt", .string(0...5000)), .required("content", .string(0...500_000)),
    .required("url", .nullable(.string(1...2048))), .required("tags", .array(.string(1...100), 0...50)),
    .required("mentions", .array(.string(1...100), 0...50)),
    .required("media", attached),
    .required(
      "segments",
      .array(.object([.required("text", .string(0...25_000)), .required("media", attached)]), 0...24)
    ),
    .required("createdAt", .instant), .required("updatedAt", .instant),
  ])

  private static let outdated = Schema.object([
    .required("deliveryId", .id), .required("connectionId", .id), .required("platform", .string(1...40)),
    .required("accountName", .string(0...500)), .required("version", .id, "The version that it carries"),
    .required("state", .choice(DeliveryState.allCases.map(\.rawValue))), .required("scheduledFor", .instant),
    .required("canUpdate", .boolean, "Whether it can take the newest version"),
    .required("obstacle", .nullable(.choice(["sending", "begun"]))),
  ])

  private static let outdatedField = Schema.Field.required(
    "outdatedDeliveries",
    .array(outdated, 0...DeliveryControl.outdatedLimit),
    "Open deliveries that carry an older version; POST …/deliveries/update gives them the newest"
  )

  private static var wholeShape: Schema {
    guard case .object(let fields) = shape else { return shape }
    return .object(fields + [outdatedField])
  }

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: "/api/posts",
      summary: "Posts, newest first",
      access: .site(.read),
      query: [.siteID, .cursor, .limit],
      success: .page(shape),
      handler: list
    ),
    Endpoint(
      method: .post,
      path: "/api/posts",
      summary: "Write a post",
      access: .site(.write),
      query: [.siteID],
      body: .object([.siteID] + members),
      success: .json(201, shape),
      refusals: [422],
      handler: create
    ),
    Endpoint(
      method: .get,
      path: "/api/posts/{id}",
      summary: "A post, or one of its versions",
      access: .site(.read),
      query: [.siteID, .optional("version", .id, "The newest when left out")],
      success: .json(200, wholeShape),
      handler: read
    ),
    Endpoint(
      method: .put,
      path: "/api/posts/{id}",
      summary: "Save a new version; send If-Match with the version that was edited",
      access: .site(.write),
      query: [.siteID],
      body: .object([.siteID] + members),
      success: .json(200, wholeShape),
      refusals: [409, 422],
      handler: update
    ),
    Endpoint(
      method: .post,
      path: "/api/posts/{id}/deliveries/update",
      summary: "Give deliveries that have not begun the newest version of the post",
      access: .site(.publish),
      query: [.siteID],
      body: .object([
        .siteID, .optional("deliveryIds", .array(.id, 1...DeliveryControl.outdatedLimit), "All when left out"),
      ]),
      isSettledByItself: true,
      success: .json(
        200,
        .object([
          .required("version", .id), .required("updated", .array(.id, 0...Int(Int32.max))),
          .required("left", .array(outdated, 0...DeliveryControl.outdatedLimit), "Deliveries that keep their version"),
        ])
      ),
      handler: updateDeliveries
    ),
    Endpoint(
      method: .delete,
      path: "/api/posts/{id}",
      summary: "Delete a post and withdraw what was not sent of it; what was published stays published",
      access: .site(.write),
      query: [.siteID],
      success: .json(
        200,
        .object([
          .required("deleted", .boolean),
          .required("canceled", .integer(0...Int64.max), "Deliveries that will not be sent"),
          .required("alreadySending", .integer(0...Int64.max), "Deliveries that run to their end"),
        ])
      ),
      handler: remove
    ),
  ]

  private static func list(_ context: APIContext) async throws -> HTTPResponse {
    let (cursor, limit) = (try context.cursor(), try context.pageLimit())
    let rows = try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
      try await store.list(before: cursor, limit: limit, in: tx)
    }
    return Envelope.page(rows.map(json), nextCursor: rows.count == limit ? rows.last?.id : nil)
  }

  private static func create(_ context: APIContext) async throws -> HTTPResponse {
    let site = try context.site()
    let user = try context.caller().userID
    let content = content(context)
    return try await context.create(scope: .site(site), site: site) { tx in
      let post = try await store.create(content, site: site, user: user, in: tx)
      try await tx.execute(context.audit(.postCreate, "post:\(post.id)", site: site))
      return json(post)
    }
  }

  private static func read(_ context: APIContext) async throws -> HTTPResponse {
    let id = try context.id()
    let version = try context.query.int64("version", 1...Int64.max)
    let (post, outdated) = try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
      let post =
        if let version { try await store.version(Int(version), of: id, in: tx) } else {
          try await store.post(id, in: tx)
        }
      return (post, try await DeliveryControl.outdated(id, in: tx))
    }
    return tagged(Envelope.ok(json(post, outdated)), version: post.version)
  }

  private static func update(_ context: APIContext) async throws -> HTTPResponse {
    let site = try context.site()
    let (id, expected, user) = (try context.id(), try context.expectedVersion(), try context.caller().userID)
    let content = content(context)
    let (post, outdated) = try await context.services.pool.transaction(scope: .site(site)) { tx in
      let post = try await store.update(
        id,
        to: content,
        expectedVersion: expected,
        site: site,
        user: user,
        in: tx
      )
      try await tx.execute(context.audit(.postUpdate, "post:\(id)", site: site))
      return (post, try await DeliveryControl.outdated(id, in: tx))
    }
    return tagged(Envelope.ok(json(post, outdated)), version: post.version)
  }

  private static func updateDeliveries(_ context: APIContext) async throws -> HTTPResponse {
    let result = try await context.services.control.updateDeliveries(
      of: try context.id(),
      only: context.int64s("deliveryIds"),
      site: try context.site(),
      user: try context.caller().userID
    )
    return Envelope.ok([
      "version": .int(Int64(result.version)), "updated": .array(result.deliveries.map { .int($0) }),
      "left": .array(result.left.map(json)),
    ])
  }

  private static func remove(_ context: APIContext) async throws -> HTTPResponse {
    let site = try context.site()
    let id = try context.id()
    let result = try await context.services.control.deletePost(
      id,
      site: site,
      also: [context.audit(.postDelete, "post:\(id)", site: site)]
    )
    return Envelope.ok([
      "deleted": true, "canceled": .int(Int64(result.dropped)), "alreadySending": .int(Int64(result.alreadySending)),
    ])
  }

  private static func tagged(_ response: HTTPResponse, version: Int) -> HTTPResponse {
    var response = response
    response.headers.set("etag", "\"\(version)\"")
    return response
  }

  private static func content(_ context: APIContext) -> PostContent {
    PostContent(
      title: context.string("title") ?? "",
      excerpt: context.string("excerpt") ?? "",
      content: context.string("content") ?? "",
      url: context.string("url"),
      tags: context.strings("tags") ?? [],
      mentions: context.strings("mentions") ?? [],
      media: attachments(context.member("media")),
      segments: (context.member("segments")?.arrayValue ?? []).map { item in
        PostContent.Segment(
          text: item.objectValue?["text"]?.stringValue ?? "",
          media: attachments(item.objectValue?["media"])
        )
      }
    )
  }

  private static func attachments(_ value: JSONValue?) -> [PostContent.Attachment] {
    (value?.arrayValue ?? []).map { item in
      PostContent.Attachment(
        mediaID: item.objectValue?["mediaId"]?.int64Value ?? 0,
        alt: item.objectValue?["alt"]?.stringValue ?? ""
      )
    }
  }

  private static func json(_ attachments: [PostContent.Attachment]) -> JSONValue {
    .array(attachments.map { ["mediaId": .int($0.mediaID), "alt": .string($0.alt)] })
  }

  private static func json(_ post: Post, _ outdated: [DeliveryControl.Outdated]) -> JSONValue {
    var members = json(post).objectValue ?? [:]
    members["outdatedDeliveries"] = .array(outdated.map(json))
    return .object(members)
  }

  private static func json(_ delivery: DeliveryControl.Outdated) -> JSONValue {
    [
      "deliveryId": .int(delivery.delivery), "connectionId": .int(delivery.connection),
      "platform": .string(delivery.platform), "accountName": .string(delivery.accountName),
      "version": .int(Int64(delivery.version)), "state": .string(delivery.state.rawValue),
      "scheduledFor": .instant(delivery.scheduledFor), "canUpdate": .bool(delivery.obstacle == nil),
      "obstacle": .text(delivery.obstacle),
    ]
  }

  private static func json(_ post: Post) -> JSONValue {
    [
      "id": .int(post.id), "siteId": .int(post.siteID), "version": .int(Int64(post.version)),
      "title": .string(post.content.title), "excerpt": .string(post.content.excerpt),
      "content": .string(post.content.content), "url": .text(post.content.url), "tags": .strings(post.content.tags),
      "mentions": .strings(post.content.mentions),
      "media": json(post.content.media),
      "segments": .array(post.content.segments.map { ["text": .string($0.text), "media": json($0.media)] }),
      "createdAt": .instant(post.createdAt), "updatedAt": .instant(post.updatedAt),
    ]
  }
}
