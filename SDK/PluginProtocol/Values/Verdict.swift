public import JSONText

/// What a search on the platform showed.
public enum Verdict: WireValue, Equatable {
  /// The post is there.
  case found(remoteID: String, url: String?)
  /// The post is certainly not there.
  case absent
  /// Nobody can tell.
  case unknown(why: String)

  /// Reads the object; a verdict of another name counts as unknown.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    switch try object.string("verdict") {
    case "found":
      self = .found(remoteID: try object.string("remoteId"), url: try object.optionalString("url"))
    case "absent":
      self = .absent
    default:
      self = .unknown(why: try object.optionalString("why") ?? "")
    }
  }

  /// Writes the object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      switch self {
      case .found(let remoteID, let url):
        writer.field("verdict", "found")
        writer.field("remoteId", remoteID)
        writer.field("url", url)
      case .absent:
        writer.field("verdict", "absent")
      case .unknown(let why):
        writer.field("verdict", "unknown")
        writer.field("why", why)
      }
    }
  }
}
