package import JSONText

/// One post as it is meant for one account: what the plugin gets as `post`.
package struct Variant: Sendable, Equatable {
  package var text: String
  package var title: String
  package var excerpt: String
  package var content: String?
  package var url: String?
  package var tags: [String]
  package var mentions: [String]
  package var media: [VariantMedia]
  /// The posts that follow in a thread.
  package var segments: [VariantSegment] = []
  package var options: RawJSON?

  /// The variant as the wire's `post` object.
  package func json() -> RawJSON {
    RawJSON.object(capacity: 256 + text.utf8.count + (content?.utf8.count ?? 0)) { writer in
      writer.field("text", text)
      writer.field("title", title)
      if !excerpt.isEmpty { writer.field("excerpt", excerpt) }
      writer.field("content", content)
      writer.field("url", url)
      if !tags.isEmpty { writer.field("tags", tags) }
      if !mentions.isEmpty { writer.field("mentions", mentions) }
      if !media.isEmpty {
        writer.key("media")
        writer.beginArray()
        for item in media { item.write(to: &writer) }
        writer.endArray()
      }
      if !segments.isEmpty {
        writer.array("segments", segments) { writer, segment in segment.write(to: &writer) }
      }
      writer.field("options", options)
    }
  }
}

/// A picture or film of a variant. Its bytes never travel in frames; the handle names them.
package struct VariantMedia: Sendable, Equatable {
  package var mediaID: Int64
  package var type: String
  package var bytes: Int64
  package var width: Int?
  package var height: Int?
  /// Lower-case hexadecimal SHA-256 of the bytes.
  package var sha256: String
  package var fileName: String
  package var alt: String

  package init(
    mediaID: Int64,
    type: String,
    bytes: Int64,
    width: Int?,
    height: Int?,
    sha256: String,
    fileName: String,
    alt: String
  ) {
    self.mediaID = mediaID
    self.type = type
    self.bytes = bytes
    self.width = width
    self.height = height
    self.sha256 = sha256
    self.fileName = fileName
    self.alt = alt
  }

  /// The name that plugins use for it, valid inside the delivery.
  package var handle: String { "m-\(mediaID)" }

  package func write(to writer: inout JSONWriter) {
    writer.beginObject()
    writer.field("handle", handle)
    writer.field("type", type)
    writer.field("bytes", bytes)
    writer.field("width", width)
    writer.field("height", height)
    writer.field("sha256", sha256)
    writer.field("filename", fileName)
    if !alt.isEmpty { writer.field("alt", alt) }
    writer.endObject()
  }

  /// Reads the form that post versions store (`mediaId` instead of a handle) and the wire form.
  package init(json: RawJSON) throws {
    let object = try json.object()
    let id: Int64
    if let stored = try object.optionalInt64("mediaId") {
      id = stored
    } else {
      let handle = try object.string("handle")
      guard handle.hasPrefix("m-"), let number = Int64(handle.dropFirst(2)) else {
        throw VariantError.badHandle(handle)
      }
      id = number
    }
    self.init(
      mediaID: id,
      type: try object.string("type"),
      bytes: try object.int64("bytes"),
      width: try object.optionalInt64("width").map { Int($0) },
      height: try object.optionalInt64("height").map { Int($0) },
      sha256: try object.string("sha256"),
      fileName: try object.string("filename"),
      alt: try object.optionalString("alt") ?? ""
    )
  }
}

package enum VariantError: Error, Equatable {
  case badHandle(String)
  /// An override of an account names a file that the post does not have.
  case noSuchMedia(Int64, field: String)
}

/// The content of a post version and everything that shapes it for one account.
package struct VariantSource: Sendable {
  package var title: String
  package var excerpt: String
  package var content: String?
  package var url: String?
  package var tags: [String]
  package var mentions: [String]
  package var media: [VariantMedia]
  /// The posts that follow in a thread.
  package var segments: [VariantSegment]
  /// `distributions.options`: `{customMessage?, overrides?: {"<connection id>": {text?, hashtags?, includeLink?,
  /// segments?: [{text?, media?: [id]}], options?}}}`.
  package var distributionOptions: RawJSON
  /// `publishing_targets.default_payload`: `{hashtags?, includeLink?, text?, options?}`.
  package var targetPayload: RawJSON?

  package init(
    title: String,
    excerpt: String,
    content: String? = nil,
    url: String? = nil,
    tags: [String] = [],
    mentions: [String] = [],
    media: [VariantMedia] = [],
    segments: [VariantSegment] = [],
    distributionOptions: RawJSON = RawJSON.emptyObject,
    targetPayload: RawJSON? = nil
  ) {
    self.title = title
    self.excerpt = excerpt
    self.content = content
    self.url = url
    self.tags = tags
    self.mentions = mentions
    self.media = media
    self.segments = segments
    self.distributionOptions = distributionOptions
    self.targetPayload = targetPayload
  }

  /// Composes the variant. The nearest word wins: the account's own override, then the message of the distribution,
  /// then the target's default, then excerpt or title.
  package func variant(for connectionID: Int64) throws -> Variant {
    let options = try distributionOptions.object()
    let own = try options.optionalObject("overrides")?.optionalObject(String(connectionID))
    let target = try targetPayload?.object()
    let ownText = try own?.optionalString("text")
    let customMessage = try options.optionalString("customMessage")
    let targetText = try target?.optionalString("text")
    let ownLink = try own?.optionalBool("includeLink")
    let targetLink = try target?.optionalBool("includeLink")
    let ownTags = own?.optional("hashtags") == nil ? nil : try own?.strings("hashtags")
    let targetTags = target?.optional("hashtags") == nil ? [] : try target?.strings("hashtags") ?? []
    return Variant(
      text: ownText ?? customMessage ?? targetText ?? (excerpt.isEmpty ? title : excerpt),
      title: title,
      excerpt: excerpt,
      content: content,
      url: (ownLink ?? targetLink ?? true) ? url : nil,
      tags: ownTags ?? Self.union(tags, targetTags),
      mentions: mentions,
      media: media,
      segments: try ownSegments(own, of: connectionID) ?? segments,
      options: own?.optional("options") ?? target?.optional("options")
    )
  }

  /// The account's own thread, made of the post's files; nil when it has none of its own.
  private func ownSegments(_ own: JSONObjectView?, of connectionID: Int64) throws -> [VariantSegment]? {
    guard let listed = try own?.optionalArray("segments") else { return nil }
    let files = media + segments.flatMap(\.media)
    return try listed.enumerated().map { index, element in
      let segment = try element.object()
      let ids = try segment.optionalArray("media")?.map { try $0.int64() } ?? []
      return VariantSegment(
        text: try segment.optionalString("text") ?? "",
        media: try ids.enumerated().map { place, id in
          guard let file = files.first(where: { $0.mediaID == id }) else {
            let field = "options.overrides.\(connectionID).segments[\(index)].media[\(place)]"
            throw VariantError.noSuchMedia(id, field: field)
          }
          return file
        }
      )
    }
  }

  private static func union(_ first: [String], _ second: [String]) -> [String] {
    var seen = Set(first.map { $0.lowercased() })
    return first + second.filter { seen.insert($0.lowercased()).inserted }
  }
}
