public import JSONText

/// One line of the host's journal about a request made for a delivery.
public struct Evidence: WireValue, Equatable {
  /// Step the adapter named.
  public var step: String
  /// Manifest rule.
  public var rule: String
  /// Class of the rule: `prepare` or `commit`.
  public var effectClass: String
  /// Number of the try, from 1.
  public var attempt: Int64
  /// `started` or `done`.
  public var state: String
  /// `accepted`, `rejected`, `notSent` or `unknown`, nil while open.
  public var outcome: String?
  /// HTTP status, if one came.
  public var status: Int64?
  /// When the first byte left, RFC 3339, UTC.
  public var sentAt: String?
  /// When the last byte of the answer came, or the request ended.
  public var lastByteAt: String?
  /// The platform's id, if the answer held one.
  public var remoteID: String?

  /// Makes a line.
  public init(
    step: String,
    rule: String,
    effectClass: String,
    attempt: Int64 = 1,
    state: String,
    outcome: String? = nil,
    status: Int64? = nil,
    sentAt: String? = nil,
    lastByteAt: String? = nil,
    remoteID: String? = nil
  ) {
    self.step = step
    self.rule = rule
    self.effectClass = effectClass
    self.attempt = attempt
    self.state = state
    self.outcome = outcome
    self.status = status
    self.sentAt = sentAt
    self.lastByteAt = lastByteAt
    self.remoteID = remoteID
  }

  /// Reads the object.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    step = try object.string("step")
    rule = try object.string("rule")
    effectClass = try object.string("class")
    attempt = try object.optionalInt64("try") ?? 1
    state = try object.string("state")
    outcome = try object.optionalString("outcome")
    status = try object.optionalInt64("status")
    sentAt = try object.optionalString("sentAt")
    lastByteAt = try object.optionalString("lastByteAt")
    remoteID = try object.optionalString("remoteId")
  }

  /// Writes the object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("step", step)
      writer.field("rule", rule)
      writer.field("class", effectClass)
      writer.field("try", attempt)
      writer.field("state", state)
      writer.field("outcome", outcome)
      writer.field("status", status)
      writer.field("sentAt", sentAt)
      writer.field("lastByteAt", lastByteAt)
      writer.field("remoteId", remoteID)
    }
  }
}
