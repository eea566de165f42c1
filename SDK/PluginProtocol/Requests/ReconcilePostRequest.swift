public import JSONText

/// Asks whether a delivery whose end is unknown is on the platform.
public struct ReconcilePostRequest: RequestMessage, Equatable {
  /// What a plugin answers.
  public typealias Answer = Verdict
  /// Name on the wire.
  public static let method = "post/reconcile"

  /// Names the call.
  public var meta: CallMeta
  /// The account.
  public var account: Account
  /// The fixed facts of the delivery.
  public var job: JobInfo
  /// The post, as it was sent.
  public var post: Post
  /// The host's journal of the delivery.
  public var evidence: [Evidence]

  /// Makes the request.
  public init(meta: CallMeta, account: Account, job: JobInfo, post: Post, evidence: [Evidence]) {
    self.meta = meta
    self.account = account
    self.job = job
    self.post = post
    self.evidence = evidence
  }

  /// Reads the params.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    meta = try object.read(CallMeta.key)
    account = try object.read("account")
    job = try object.read("job")
    post = try object.read("post")
    evidence = try object.readArray("evidence")
  }

  /// Writes the params.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field(CallMeta.key, meta)
      writer.field("account", account)
      writer.field("job", job)
      writer.field("post", post)
      writer.field("evidence", evidence)
    }
  }
}
