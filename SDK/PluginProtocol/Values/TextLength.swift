public import JSONText

/// Length of a text as the platform counts it.
public struct TextLength: WireValue, Equatable {
  /// The length in `unit`.
  public var count: Int64
  /// The most the platform takes.
  public var limit: Int64
  /// How it is counted.
  public var unit: String

  /// Makes a length.
  public init(count: Int64, limit: Int64, unit: String) {
    self.count = count
    self.limit = limit
    self.unit = unit
  }

  /// Reads the object.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    count = try object.int64("count")
    limit = try object.int64("limit")
    unit = try object.string("unit")
  }

  /// Writes the object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("count", count)
      writer.field("limit", limit)
      writer.field("unit", unit)
    }
  }
}
