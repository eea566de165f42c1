public import JSONText

/// Asks whose token the host holds.
public struct IdentifyAccountRequest: RequestMessage, Equatable {
  /// What a plugin answers.
  public typealias Answer = AccountIdentity
  /// Name on the wire.
  public static let method = "account/identify"

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
