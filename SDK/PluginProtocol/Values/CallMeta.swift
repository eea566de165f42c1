public import JSONText

/// What every call from the host carries under `_meta`.
public struct CallMeta: WireValue, Equatable {
  /// Names the call; every host request made for it repeats it.
  public var call: String
  /// Time the call may take, in milliseconds from its arrival.
  public var deadlineMs: Int64
  /// Number of this attempt, from 1.
  public var attempt: Int64

  /// The member that holds it.
  public static let key = "_meta"

  /// Makes it.
  public init(call: String, deadlineMs: Int64 = 60_000, attempt: Int64 = 1) {
    self.call = call
    self.deadlineMs = deadlineMs
    self.attempt = attempt
  }

  /// Reads `{"call","deadlineMs","attempt"}`.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    call = try object.string("call")
    deadlineMs = try object.optionalInt64("deadlineMs") ?? 60_000
    attempt = try object.optionalInt64("attempt") ?? 1
  }

  /// Writes the object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("call", call)
      writer.field("deadlineMs", deadlineMs)
      writer.field("attempt", attempt)
    }
  }
}
