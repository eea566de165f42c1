public import JSONText

/// What one account may publish; composer, validator and previews are drawn from it.
public struct Capabilities: WireValue, Equatable {
  /// Limits of the text.
  public struct Text: WireValue, Equatable {
    /// The most the platform takes, in `unit`.
    public var limit: Int64
    /// The length to aim at.
    public var target: Int64
    /// How length is counted: `weighted`, `characters`, `graphemes`, `bytes`.
    public var unit: String

    /// Makes the limits.
    public init(limit: Int64, target: Int64? = nil, unit: String) {
      self.limit = limit
      self.target = target ?? limit
      self.unit = unit
    }

    /// Reads the object.
    public init(json: RawJSON) throws(JSONTextError) {
      let object = try json.object()
      limit = try object.int64("limit")
      target = try object.optionalInt64("target") ?? limit
      unit = try object.string("unit")
    }

    /// Writes the object.
    public func write(to writer: inout JSONWriter) {
      writer.object { writer in
        writer.field("limit", limit)
        writer.field("target", target)
        writer.field("unit", unit)
      }
    }
  }

  /// Limits of the media.
  public struct Media: WireValue, Equatable {
    /// Most images in one post.
    public var images: Int64
    /// Most bytes of one image.
    public var imageBytes: Int64
    /// Accepted media types of images.
    public var imageTypes: [String]
    /// Most characters of an alternative text.
    public var altLimit: Int64
    /// Most videos in one post.
    public var videos: Int64
    /// Most bytes of one video.
    public var videoBytes: Int64
    /// Accepted media types of videos.
    public var videoTypes: [String]

    /// Makes the limits.
    public init(
      images: Int64,
      imageBytes: Int64,
      imageTypes: [String],
      altLimit: Int64,
      videos: Int64 = 0,
      videoBytes: Int64 = 0,
      videoTypes: [String] = []
    ) {
      self.images = images
      self.imageBytes = imageBytes
      self.imageTypes = imageTypes
      self.altLimit = altLimit
      self.videos = videos
      self.videoBytes = videoBytes
      self.videoTypes = videoTypes
    }

    /// Reads the object.
    public init(json: RawJSON) throws(JSONTextError) {
      let object = try json.object()
      images = try object.optionalInt64("images") ?? 0
      imageBytes = try object.optionalInt64("imageBytes") ?? 0
      imageTypes = try object.strings("imageTypes")
      altLimit = try object.optionalInt64("altLimit") ?? 0
      videos = try object.optionalInt64("videos") ?? 0
      videoBytes = try object.optionalInt64("videoBytes") ?? 0
      videoTypes = try object.strings("videoTypes")
    }

    /// Writes the object.
    public func write(to writer: inout JSONWriter) {
      writer.object { writer in
        writer.field("images", images)
        writer.field("imageBytes", imageBytes)
        writer.field("imageTypes", imageTypes)
        writer.field("altLimit", altLimit)
        writer.field("videos", videos)
        if videoBytes > 0 { writer.field("videoBytes", videoBytes) }
        if !videoTypes.isEmpty { writer.field("videoTypes", videoTypes) }
      }
    }
  }

  /// Limits of the text.
  public var text: Text
  /// Limits of the media, nil where the platform takes none.
  public var media: Media?
  /// Most posts of a thread, the first one included; 1 where the platform knows no threads.
  public var segments: Int64
  /// What the adapter can do: `delete`, `reconcile`, `altText`, `link`, …
  public var features: [String]

  /// Makes capabilities.
  public init(text: Text, media: Media? = nil, segments: Int64 = 1, features: [String] = []) {
    self.text = text
    self.media = media
    self.segments = segments
    self.features = features
  }

  /// Reads the object.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    text = try object.read("text")
    media = try object.readOptional("media")
    segments = try object.optionalInt64("segments") ?? 1
    features = try object.strings("features")
  }

  /// Writes the object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("text", text)
      writer.field("media", media)
      if segments > 1 { writer.field("segments", segments) }
      writer.field("features", features)
    }
  }
}
