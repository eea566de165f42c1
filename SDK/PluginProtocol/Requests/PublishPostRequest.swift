public import JSONText

/// Publishes a post; may run again after a crash, then finished steps answer from the journal.
public struct PublishPostRequest: RequestMessage, Equatable {
  /// What a plugin answers.
  public typealias Answer = Publication
  /// Name on the wire.
  public static let method = "post/publish"

  /// Names the call.
  public var meta: CallMeta
  /// The account.
  public var account: Account
  /// The fixed facts of the delivery.
  public var job: JobInfo
  /// The post.
  public var post: Post

  /// Makes the request.
  public init(meta: CallMeta, account: Account, job: JobInfo, post: Post) {
    self.meta = meta
    self.account = account
    self.job = job
    self.post = post
  }

  /// Reads the params.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    meta = try object.read(CallMeta.key)
    account = try object.read("account")
    job = try object.read("job")
    post = try object.read("post")
  }

  /// Writes the params.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field(CallMeta.key, meta)
      writer.field("account", account)
      writer.field("job", job)
      writer.field("post", post)
    }
  }
}
