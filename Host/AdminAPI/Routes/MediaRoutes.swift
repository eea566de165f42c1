import Audit
import HTTPServer
import Identity
import JSONDocument
import MediaStore
import Postgres

/// Pictures and films.
enum MediaRoutes {
  private static let catalogue = MediaCatalogue()

  private static let shape = Schema.object([
    .required("id", .id), .required("siteId", .id), .required("sha256", .string(64...64)), .required("bytes", .id),
    .required("type", .choice(MediaFormat.supported)), .required("width", .nullable(.id)),
    .required("height", .nullable(.id)), .required("fileName", .string(1...255)), .required("alt", .string(0...1500)),
    .required("createdAt", .instant),
  ])

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: "/api/media",
      summary: "Files, newest first",
      access: .site(.read),
      query: [.siteID, .cursor, .limit],
      success: .page(shape),
      handler: list
    ),
    Endpoint(
      method: .post,
      path: "/api/media",
      summary: "Upload a file: its bytes are the body; the same content is stored once",
      access: .site(.write),
      query: [
        .siteID, .optional("fileName", .string(1...255)),
        .optional("alt", .string(0...1500), "Words for people who can not see it"),
      ],
      isUpload: true,
      success: .json(201, shape),
      refusals: [422],
      handler: upload
    ),
    Endpoint(
      method: .get,
      path: "/api/media/{id}",
      summary: "What is known of a file",
      access: .site(.read),
      query: [.siteID],
      success: .json(200, shape),
      handler: read
    ),
    Endpoint(
      method: .get,
      path: "/api/media/{id}/content",
      summary: "The bytes of a file",
      access: .site(.read),
      query: [.siteID],
      success: .other("*/*"),
      handler: content
    ),
    Endpoint(
      method: .patch,
      path: "/api/media/{id}",
      summary: "Change the words for people who can not see the file",
      access: .site(.write),
      query: [.siteID],
      body: .object([.siteID, .required("alt", .string(0...1500))]),
      success: .json(200, shape),
      handler: describe
    ),
    Endpoint(
      method: .delete,
      path: "/api/media/{id}",
      summary: "Delete a file; posts that were published keep it",
      access: .site(.write),
      query: [.siteID],
      success: .json(200, .object([.required("deleted", .boolean)])),
      handler: remove
    ),
  ]

  private static func list(_ context: APIContext) async throws -> HTTPResponse {
    let (cursor, limit) = (try context.cursor(), try context.pageLimit())
    let rows = try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
      try await catalogue.list(before: cursor, limit: limit, in: tx)
    }
    return Envelope.page(rows.map(json), nextCursor: rows.count == limit ? rows.last?.id : nil)
  }

  private static func upload(_ context: APIContext) async throws -> HTTPResponse {
    let site = try context.site()
    let user = try context.caller().userID
    let upload = try context.services.files.upload(maximumBytes: context.services.limits.mediaBytes)
    for try await chunk in context.request.body.chunks() { try await upload.append(chunk) }
    let (sha256, bytes, format) = try await upload.finish()
    let name = context.query["fileName"] ?? "upload.\(format.type.split(separator: "/").last ?? "bin")"
    let alt = context.query["alt"] ?? ""
    return try await context.create(scope: .site(site), site: site, content: sha256) { tx in
      let item = try await catalogue.add(
        sha256: sha256,
        bytes: bytes,
        format: format,
        fileName: name,
        alt: alt,
        site: site,
        user: user,
        in: tx
      )
      try await tx.execute(context.audit(.mediaCreate, "media:\(item.id)", site: site))
      return json(item)
    }
  }

  private static func read(_ context: APIContext) async throws -> HTTPResponse {
    Envelope.ok(json(try await item(context)))
  }

  private static func content(_ context: APIContext) async throws -> HTTPResponse {
    let item = try await item(context)
    return .file(path: context.services.files.path(sha256: item.sha256), contentType: item.type)
  }

  private static func item(_ context: APIContext) async throws -> MediaItem {
    let id = try context.id()
    return try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
      try await catalogue.item(id, in: tx)
    }
  }

  private static func describe(_ context: APIContext) async throws -> HTTPResponse {
    let (id, alt) = (try context.id(), context.string("alt") ?? "")
    let item = try await context.services.pool.transaction(scope: .site(try context.site())) { tx in
      try await catalogue.update(id, alt: alt, in: tx)
    }
    return Envelope.ok(json(item))
  }

  private static func remove(_ context: APIContext) async throws -> HTTPResponse {
    let site = try context.site()
    let id = try context.id()
    try await context.services.pool.transaction(scope: .site(site)) { tx in
      try await catalogue.delete(id, in: tx)
      try await tx.execute(context.audit(.mediaDelete, "media:\(id)", site: site))
    }
    return Envelope.ok(["deleted": true])
  }

  private static func json(_ item: MediaItem) -> JSONValue {
    [
      "id": .int(item.id), "siteId": .int(item.siteID), "sha256": .string(item.sha256), "bytes": .int(item.bytes),
      "type": .string(item.type), "width": .number(item.width), "height": .number(item.height),
      "fileName": .string(item.fileName), "alt": .string(item.alt), "createdAt": .instant(item.createdAt),
    ]
  }
}
