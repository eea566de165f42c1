public import JSONText

/// Asks what the account may publish.
public struct DescribeAccountRequest: RequestMessage, Equatable {
  /// What a plugin answers.
  public typealias Answer = Capabilities
  /// Name on the wire.
  public static let method = "account/capabilities"

  /// Names the call.
  public var meta: CallMeta
  /// The account.
  public var account: Account

  /// Makes the request.
  public init(meta: CallMeta, account: Account) {
    self.meta = meta
    self.account = account
  }

  /// Reads the params.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    meta = try object.read(CallMeta.key)
    account = try object.read("account")
  }

  /// Writes the params.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field(CallMeta.key, meta)
      writer.field("account", account)
    }
  }
}
