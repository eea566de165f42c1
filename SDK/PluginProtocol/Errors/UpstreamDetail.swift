public import JSONText

/// What the platform answered, in the few words worth keeping.
public struct UpstreamDetail: WireValue, Equatable {
  /// HTTP status.
  public var status: Int?
  /// The platform's own error code or type.
  public var code: String?
  /// The platform's number for the request.
  public var requestID: String?

  /// Makes a detail.
  public init(status: Int? = nil, code: String? = nil, requestID: String? = nil) {
    self.status = status
    self.code = code
    self.requestID = requestID
  }

  /// Reads `{"status","code","requestId"}`.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    status = try object.optionalInt64("status").flatMap(Int.init(exactly:))
    code = try object.optionalString("code")
    requestID = try object.optionalString("requestId")
  }

  /// Writes what is known.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("status", status)
      writer.field("code", code)
      writer.field("requestId", requestID)
    }
  }
}
