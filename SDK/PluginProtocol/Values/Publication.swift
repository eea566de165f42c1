public import JSONText

/// How a publish call ended well.
public enum Publication: WireValue, Equatable {
  /// What went out.
  public struct Published: Sendable, Equatable {
    /// The platform's id.
    public var remoteID: String
    /// Public address.
    public var url: String?
    /// All posts of a thread, the first one included; empty for a single post.
    public var segments: [PublishedSegment]
    /// What did not go quite as asked.
    public var warnings: [String]

    /// Makes it.
    public init(remoteID: String, url: String?, segments: [PublishedSegment] = [], warnings: [String] = []) {
      self.remoteID = remoteID
      self.url = url
      self.segments = segments
      self.warnings = warnings
    }
  }

  /// A wait that outlives the call: the host calls again later and replay goes on.
  public struct Wait: Sendable, Equatable {
    /// Time to wait in milliseconds.
    public var afterMs: Int64
    /// What is waited for, for people.
    public var why: String

    /// Makes it.
    public init(afterMs: Int64, why: String) {
      self.afterMs = afterMs
      self.why = why
    }
  }

  /// Some segments went out and one failed.
  public struct Partial: Sendable, Equatable {
    /// The platform's id of the first segment.
    public var remoteID: String
    /// Public address of the first segment.
    public var url: String?
    /// Segments that went out.
    public var sent: Int64
    /// Segments in all.
    public var total: Int64
    /// The segments that went out, the first one included.
    public var segments: [PublishedSegment]
    /// Why the rest did not.
    public var error: ProtocolError

    /// Makes it.
    public init(
      remoteID: String,
      url: String?,
      sent: Int64,
      total: Int64,
      segments: [PublishedSegment] = [],
      error: ProtocolError
    ) {
      self.remoteID = remoteID
      self.url = url
      self.sent = sent
      self.total = total
      self.segments = segments
      self.error = error
    }
  }

  case published(Published)
  case wait(Wait)
  case partial(Partial)

  /// Reads the object.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    if let wait = try object.optionalObject("wait") {
      self = .wait(Wait(afterMs: max(try wait.int64("afterMs"), 0), why: try wait.optionalString("why") ?? ""))
    } else if let partial = try object.optionalObject("partial") {
      self = .partial(
        Partial(
          remoteID: try partial.string("remoteId"),
          url: try partial.optionalString("url"),
          sent: try partial.int64("sent"),
          total: try partial.int64("total"),
          segments: try partial.readArray("segments"),
          error: try partial.read("error")
        )
      )
    } else {
      self = .published(
        Published(
          remoteID: try object.string("remoteId"),
          url: try object.optionalString("url"),
          segments: try object.readArray("segments"),
          warnings: try object.strings("warnings")
        )
      )
    }
  }

  /// Writes the object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      switch self {
      case .published(let published):
        writer.field("remoteId", published.remoteID)
        writer.field("url", published.url)
        if !published.segments.isEmpty { writer.field("segments", published.segments) }
        writer.field("warnings", published.warnings)
      case .wait(let wait):
        writer.object("wait") { writer in
          writer.field("afterMs", wait.afterMs)
          writer.field("why", wait.why)
        }
      case .partial(let partial):
        writer.object("partial") { writer in
          writer.field("remoteId", partial.remoteID)
          writer.field("url", partial.url)
          writer.field("sent", partial.sent)
          writer.field("total", partial.total)
          if !partial.segments.isEmpty { writer.field("segments", partial.segments) }
          writer.field("error", partial.error)
        }
      }
    }
  }
}
