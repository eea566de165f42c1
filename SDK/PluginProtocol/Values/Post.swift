public import JSONText

/// What is to be published.
public struct Post: WireValue, Equatable {
  /// The text; rendered text in a publish call.
  public var text: String
  /// Title, where the author gave one.
  public var title: String?
  /// Short form of the content.
  public var excerpt: String?
  /// The whole content; only for plugins whose manifest asks for it.
  public var content: String?
  /// The page the post points to.
  public var url: String?
  /// Topics, without a leading #.
  public var tags: [String]
  /// Handles to mention, without a leading @.
  public var mentions: [String]
  /// Attached files in order.
  public var media: [MediaItem]
  /// The posts that follow this one in a thread, in order; empty for a single post.
  public var segments: [PostSegment]
  /// Settings only this platform knows.
  public var options: RawJSON

  /// Makes a post.
  public init(
    text: String,
    title: String? = nil,
    excerpt: String? = nil,
    content: String? = nil,
    url: String? = nil,
    tags: [String] = [],
    mentions: [String] = [],
    media: [MediaItem] = [],
    segments: [PostSegment] = [],
    options: RawJSON = .emptyObject
  ) {
    self.text = text
    self.title = title
    self.excerpt = excerpt
    self.content = content
    self.url = url
    self.tags = tags
    self.mentions = mentions
    self.media = media
    self.segments = segments
    self.options = options
  }

  /// Reads the object.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    text = try object.optionalString("text") ?? ""
    title = try object.optionalString("title")
    excerpt = try object.optionalString("excerpt")
    content = try object.optionalString("content")
    url = try object.optionalString("url")
    tags = try object.strings("tags")
    mentions = try object.strings("mentions")
    media = try object.readArray("media")
    segments = try object.readArray("segments")
    options = object.optional("options") ?? .emptyObject
  }

  /// Writes the object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("text", text)
      writer.field("title", title)
      writer.field("excerpt", excerpt)
      writer.field("content", content)
      writer.field("url", url)
      writer.field("tags", tags)
      writer.field("mentions", mentions)
      writer.field("media", media)
      if !segments.isEmpty { writer.field("segments", segments) }
      writer.field("options", options)
    }
  }
}
