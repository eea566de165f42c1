public import JSONText

/// Asks what the platform would say about a post.
///
/// Pure: no host requests, the same input gives the same bytes.
public struct ValidatePostRequest: RequestMessage, Equatable {
  /// What a plugin answers.
  public typealias Answer = Validation
  /// Name on the wire.
  public static let method = "post/validate"

  /// Names the call.
  public var meta: CallMeta
  /// The account.
  public var account: Account
  /// The post.
  public var post: Post

  /// Makes the request.
  public init(meta: CallMeta, account: Account, post: Post) {
    self.meta = meta
    self.account = account
    self.post = post
  }

  /// Reads the params.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    meta = try object.read(CallMeta.key)
    account = try object.read("account")
    post = try object.read("post")
  }

  /// Writes the params.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field(CallMeta.key, meta)
      writer.field("account", account)
      writer.field("post", post)
    }
  }
}
