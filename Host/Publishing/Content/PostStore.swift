package import FoundationEssentials
import JSONText
package import Postgres

/// What an author writes. A saved content never changes; an edit makes a new version.
package struct PostContent: Sendable, Equatable {
  package var title: String
  package var excerpt: String
  package var content: String
  package var url: String?
  package var tags: [String]
  package var mentions: [String]
  package var media: [Attachment]
  /// The posts that follow in a thread, in order.
  package var segments: [Segment]

  /// One further post of a thread.
  package struct Segment: Sendable, Equatable {
    package var text: String
    package var media: [Attachment]

    package init(text: String, media: [Attachment] = []) {
      self.text = text
      self.media = media
    }
  }

  /// A stored file in its place within the post.
  package struct Attachment: Sendable, Equatable {
    package var mediaID: Int64
    /// Words for people who can not see it; empty: the words stored with the file.
    package var alt: String

    package init(mediaID: Int64, alt: String) {
      self.mediaID = mediaID
      self.alt = alt
    }
  }

  package init(
    title: String,
    excerpt: String = "",
    content: String = "",
    url: String? = nil,
    tags: [String] = [],
    mentions: [String] = [],
    media: [Attachment] = [],
    segments: [Segment] = []
  ) {
    self.title = title
    self.excerpt = excerpt
    self.content = content
    self.url = url
    self.tags = tags
    self.mentions = mentions
    self.media = media
    self.segments = segments
  }
}

/// A post with its newest version.
package struct Post: Sendable, Equatable {
  package var id: Int64
  package var siteID: Int64
  package var version: Int
  package var content: PostContent
  package var createdAt: Date
  package var updatedAt: Date
}

/// Posts and their versions. Every call runs in a transaction confined to the site.
package struct PostStore: Sendable {
  package init() {}

  private static let columns: SQL = """
    p.id, p.site_id, p.version, v.title, v.excerpt, v.content, v.url, v.tags, v.mentions, v.media::text AS media,
    v.segments::text AS segments, p.created_at, p.updated_at
    """

  package func create(_ content: PostContent, site: Int64, user: Int64?, in tx: Transaction) async throws -> Post {
    let files = try await files(of: content, in: tx)
    let rows = try await tx.query(
      "INSERT INTO posts (site_id, created_by) VALUES (\(site), \(user)) RETURNING id"
    )
    guard let id = try rows.first?.get("id", as: Int64.self) else { throw PublishingError.notFound("site", site) }
    try await insertVersion(1, of: id, content, files: files, site: site, user: user, in: tx)
    return try await post(id, in: tx)
  }

  /// Saves a new version.
  ///
  /// - Parameter expectedVersion: the version that the author saw; another one is a conflict. Nil skips the check.
  package func update(
    _ id: Int64,
    to content: PostContent,
    expectedVersion: Int?,
    site: Int64,
    user: Int64?,
    in tx: Transaction
  ) async throws -> Post {
    let rows = try await tx.query("SELECT version FROM posts WHERE id = \(id) AND deleted_at IS NULL FOR UPDATE")
    guard let row = rows.first else { throw PublishingError.notFound("post", id) }
    let version = Int(try row.get("version", as: Int32.self))
    if let expectedVersion, expectedVersion != version {
      throw PublishingError(
        .conflict,
        "version_conflict",
        "The post was changed by somebody else: it is at version \(version), you edited version \(expectedVersion)",
        field: "version"
      )
    }
    let files = try await files(of: content, in: tx)
    try await insertVersion(version + 1, of: id, content, files: files, site: site, user: user, in: tx)
    try await tx.execute("UPDATE posts SET version = version + 1, updated_at = now() WHERE id = \(id)")
    return try await post(id, in: tx)
  }

  package func post(_ id: Int64, in tx: Transaction) async throws -> Post {
    let rows = try await tx.query(
      """
      SELECT \(fragment: Self.columns) FROM posts p JOIN post_versions v ON v.post_id = p.id AND v.version = p.version
      WHERE p.id = \(id) AND p.deleted_at IS NULL
      """
    )
    guard let row = rows.first else { throw PublishingError.notFound("post", id) }
    return try Self.post(row)
  }

  /// One version of a post, as it was saved.
  package func version(_ version: Int, of id: Int64, in tx: Transaction) async throws -> Post {
    let rows = try await tx.query(
      """
      SELECT p.id, p.site_id, v.version, v.title, v.excerpt, v.content, v.url, v.tags, v.mentions,
        v.media::text AS media, v.segments::text AS segments, p.created_at, v.created_at AS updated_at
      FROM posts p JOIN post_versions v ON v.post_id = p.id
      WHERE p.id = \(id) AND v.version = \(Int32(clamping: version)) AND p.deleted_at IS NULL
      """
    )
    guard let row = rows.first else {
      throw PublishingError(.notFound, "version_not_found", "Post \(id) has no version \(version) in this site")
    }
    return try Self.post(row)
  }

  /// Posts, newest first, with ids below `before`.
  package func list(before: Int64?, limit: Int, in tx: Transaction) async throws -> [Post] {
    try await tx.query(
      """
      SELECT \(fragment: Self.columns) FROM posts p JOIN post_versions v ON v.post_id = p.id AND v.version = p.version
      WHERE p.deleted_at IS NULL AND p.id < \(before ?? Int64.max) ORDER BY p.id DESC LIMIT \(limit)
      """
    ).map(Self.post)
  }

  // MARK: Rows

  private func insertVersion(
    _ version: Int,
    of id: Int64,
    _ content: PostContent,
    files: [Int64: VariantMedia],
    site: Int64,
    user: Int64?,
    in tx: Transaction
  ) async throws {
    let media = try describe(content.media, files, at: "media")
    let segments = try content.segments.enumerated().map { index, segment in
      VariantSegment(text: segment.text, media: try describe(segment.media, files, at: "segments[\(index)].media"))
    }
    let mediaText = RawJSON.array(media) { writer, file in file.writeStored(to: &writer) }.text
    let segmentsText = RawJSON.array(segments) { writer, segment in segment.writeStored(to: &writer) }.text
    try await tx.execute(
      """
      INSERT INTO post_versions (post_id, version, site_id, title, excerpt, content, url, tags, mentions, media,
        segments, created_by)
      VALUES (\(id), \(Int32(clamping: version)), \(site), \(content.title), \(content.excerpt), \(content.content),
        \(content.url), \(content.tags), \(content.mentions), \(JSONB(text: mediaText)), \(JSONB(text: segmentsText)),
        \(user))
      """
    )
  }

  /// What deliveries need to know of each attached file, by id, so that no delivery has to look it up.
  private func files(of content: PostContent, in tx: Transaction) async throws -> [Int64: VariantMedia] {
    let attachments = content.media + content.segments.flatMap(\.media)
    guard !attachments.isEmpty else { return [:] }
    let rows = try await tx.query(
      """
      SELECT id, content_type, bytes, width, height, encode(sha256, 'hex') AS sha256, file_name, alt FROM media
      WHERE id = ANY(\(attachments.map(\.mediaID))) AND deleted_at IS NULL
      """
    )
    var files: [Int64: VariantMedia] = [:]
    for row in rows {
      let file = VariantMedia(
        mediaID: try row.get("id"),
        type: try row.get("content_type"),
        bytes: try row.get("bytes"),
        width: try row.get("width", as: Int32?.self).map(Int.init),
        height: try row.get("height", as: Int32?.self).map(Int.init),
        sha256: try row.get("sha256"),
        fileName: try row.get("file_name"),
        alt: try row.get("alt")
      )
      files[file.mediaID] = file
    }
    return files
  }

  private func describe(
    _ attachments: [PostContent.Attachment],
    _ files: [Int64: VariantMedia],
    at field: String
  ) throws -> [VariantMedia] {
    try attachments.enumerated().map { index, attachment in
      guard var file = files[attachment.mediaID] else {
        throw PublishingError.notFound("media", attachment.mediaID, field: "\(field)[\(index)].mediaId")
      }
      if !attachment.alt.isEmpty { file.alt = attachment.alt }
      return file
    }
  }

  private static func post(_ row: Row) throws -> Post {
    func attachments(_ media: [VariantMedia]) -> [PostContent.Attachment] {
      media.map { PostContent.Attachment(mediaID: $0.mediaID, alt: $0.alt) }
    }
    let media = try VariantMedia.list(row.get("media", as: String.self))
    let segments = try VariantSegment.list(row.get("segments", as: String.self))
    return Post(
      id: try row.get("id"),
      siteID: try row.get("site_id"),
      version: Int(try row.get("version", as: Int32.self)),
      content: PostContent(
        title: try row.get("title"),
        excerpt: try row.get("excerpt"),
        content: try row.get("content"),
        url: try row.get("url"),
        tags: try row.get("tags"),
        mentions: try row.get("mentions"),
        media: attachments(media),
        segments: segments.map { PostContent.Segment(text: $0.text, media: attachments($0.media)) }
      ),
      createdAt: try row.get("created_at"),
      updatedAt: try row.get("updated_at")
    )
  }
}

extension VariantMedia {
  /// The form that post versions store.
  func writeStored(to writer: inout JSONWriter) {
    writer.beginObject()
    writer.field("mediaId", mediaID)
    writer.field("type", type)
    writer.field("bytes", bytes)
    writer.field("width", width)
    writer.field("height", height)
    writer.field("sha256", sha256)
    writer.field("filename", fileName)
    writer.field("alt", alt)
    writer.endObject()
  }

  /// Reads the list that a post version stores.
  static func list(_ text: String) throws -> [VariantMedia] {
    if text == "[]" { return [] }
    return try RawJSON(text: text).array().map { try VariantMedia(json: $0) }
  }
}
