public import JSONText

/// One post of a thread that is out.
public struct PublishedSegment: WireValue, Equatable {
  /// The platform's id.
  public var remoteID: String
  /// Public address.
  public var url: String?

  /// Makes it.
  public init(remoteID: String, url: String? = nil) {
    self.remoteID = remoteID
    self.url = url
  }

  /// Reads the object.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    remoteID = try object.string("remoteId")
    url = try object.optionalString("url")
  }

  /// Writes the object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("remoteId", remoteID)
      writer.field("url", url)
    }
  }
}
