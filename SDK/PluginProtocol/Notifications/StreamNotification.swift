public import JSONText

/// Brings events of a stream, or its end.
public struct StreamNotification: NotificationMessage, Equatable {
  /// One server-sent event, or a piece of a long one.
  public struct Event: WireValue, Equatable {
    /// The event's type; `message` unless the server named one.
    public var event: String
    /// Its data.
    public var data: String
    /// Its id, if this very event brought one.
    public var id: String?
    /// Whether the data goes on in the next event of the stream.
    public var more: Bool

    /// Makes an event.
    public init(event: String = "message", data: String, id: String? = nil, more: Bool = false) {
      self.event = event
      self.data = data
      self.id = id
      self.more = more
    }

    /// Reads the object.
    public init(json: RawJSON) throws(JSONTextError) {
      let object = try json.object()
      event = try object.optionalString("event") ?? "message"
      data = try object.string("data")
      id = try object.optionalString("id")
      more = try object.optionalBool("more") ?? false
    }

    /// Writes the object.
    public func write(to writer: inout JSONWriter) {
      writer.object { writer in
        if event != "message" { writer.field("event", event) }
        writer.field("data", data)
        writer.field("id", id)
        if more { writer.field("more", true) }
      }
    }
  }

  /// How a stream ended. Nothing follows.
  public struct End: WireValue, Equatable {
    /// `complete`, `closed`, `cancelled`, `timeout`, `connectionLost` or `tooLarge`.
    public var reason: String
    /// Events of the whole stream.
    public var events: Int64
    /// Bytes of the whole stream.
    public var bytes: Int64
    /// The last value at the rule's `usage` pointer.
    public var usage: RawJSON?

    /// Makes an end.
    public init(reason: String, events: Int64, bytes: Int64, usage: RawJSON? = nil) {
      self.reason = reason
      self.events = events
      self.bytes = bytes
      self.usage = usage
    }

    /// Reads the object.
    public init(json: RawJSON) throws(JSONTextError) {
      let object = try json.object()
      reason = try object.string("reason")
      events = try object.optionalInt64("events") ?? 0
      bytes = try object.optionalInt64("bytes") ?? 0
      usage = object.optional("usage")
    }

    /// Writes the object.
    public func write(to writer: inout JSONWriter) {
      writer.object { writer in
        writer.field("reason", reason)
        writer.field("events", events)
        writer.field("bytes", bytes)
        writer.field("usage", usage)
      }
    }
  }

  /// Name on the wire.
  public static let method = "$/stream"

  /// The stream.
  public var stream: String
  /// Counts the messages of the stream, from 1 and without gaps.
  public var seq: Int64
  /// Events in order.
  public var events: [Event]
  /// The end, in the last message.
  public var end: End?

  /// Makes the notification.
  public init(stream: String, seq: Int64, events: [Event] = [], end: End? = nil) {
    self.stream = stream
    self.seq = seq
    self.events = events
    self.end = end
  }

  /// Reads the params.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    stream = try object.string("stream")
    seq = try object.int64("seq")
    events = object.optional("events") == nil ? [] : try object.readArray("events")
    end = try object.readOptional("end")
  }

  /// Writes the params.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("stream", stream)
      writer.field("seq", seq)
      if !events.isEmpty { writer.field("events", events) }
      writer.field("end", end)
    }
  }
}
