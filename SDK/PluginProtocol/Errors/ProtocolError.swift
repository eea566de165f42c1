public import JSONText

/// An error as it travels: JSON-RPC code and message, and what the host needs to decide.
///
/// Messages are shown to people and logged; they must hold no secret.
public struct ProtocolError: Error, WireValue, Equatable, CustomStringConvertible {
  /// JSON-RPC code.
  public var code: ErrorCode
  /// One sentence for people.
  public var message: String
  /// What went wrong.
  public var kind: ErrorKind
  /// What the host may do.
  public var retry: RetryClass
  /// When trying again makes sense, in milliseconds from now.
  public var retryAfterMs: Int64?
  /// The field of the input that is wrong.
  public var field: String?
  /// A sentence for the editor who wrote the post, where it differs from `message`.
  public var userMessage: String?
  /// What the platform said.
  public var upstream: UpstreamDetail?
  /// Steps to forget (`prepareExpired` only).
  public var steps: [String]

  /// Makes an error; code and retry class come from the kind unless given.
  public init(
    _ kind: ErrorKind,
    _ message: String,
    retry: RetryClass? = nil,
    retryAfterMs: Int64? = nil,
    field: String? = nil,
    userMessage: String? = nil,
    upstream: UpstreamDetail? = nil,
    steps: [String] = []
  ) {
    self.kind = kind
    code = kind.code
    self.message = message
    self.retry = retry ?? kind.retry
    self.retryAfterMs = retryAfterMs
    self.field = field
    self.userMessage = userMessage
    self.upstream = upstream
    self.steps = steps
  }

  /// Reads a JSON-RPC error object; what is missing in `data` follows from the code.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    code = ErrorCode(rawValue: try object.int64("code"))
    message = try object.string("message")
    let data = try object.optionalObject("data")
    let named = try data?.optionalString("kind").map(ErrorKind.init(rawValue:))
    kind = named ?? ErrorKind(code: code) ?? .internal
    retry = try data?.optionalString("retry").map(RetryClass.init(rawValue:)) ?? kind.retry
    let after = try data?.optionalInt64("retryAfterMs")
    retryAfterMs = after.map { max($0, 0) }
    field = try data?.optionalString("field")
    userMessage = try data?.optionalString("userMessage")
    upstream = try data?.readOptional("upstream")
    steps = try data?.strings("steps") ?? []
  }

  /// Writes a JSON-RPC error object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("code", code.rawValue)
      writer.field("message", message)
      writer.object("data") { writer in
        writer.field("kind", kind.rawValue)
        writer.field("retry", retry.rawValue)
        writer.field("retryAfterMs", retryAfterMs)
        writer.field("field", field)
        writer.field("userMessage", userMessage)
        writer.field("upstream", upstream)
        if !steps.isEmpty { writer.field("steps", steps) }
      }
    }
  }

  /// Kind and message.
  public var description: String { "\(kind.rawValue): \(message)" }
}
