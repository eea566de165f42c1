public import JSONText

/// The fixed facts of one delivery; the same at every replay.
public struct JobInfo: WireValue, Equatable {
  /// UUID of the request; the same at every attempt.
  public var key: String
  /// The time the delivery goes by, RFC 3339 with milliseconds, UTC.
  public var now: String
  /// Seed for everything random, hexadecimal.
  public var seed: String

  /// Makes it.
  public init(key: String, now: String, seed: String) {
    self.key = key
    self.now = now
    self.seed = seed
  }

  /// Reads the object.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    key = try object.string("key")
    now = try object.string("now")
    seed = try object.string("seed")
  }

  /// Writes the object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("key", key)
      writer.field("now", now)
      writer.field("seed", seed)
    }
  }
}
