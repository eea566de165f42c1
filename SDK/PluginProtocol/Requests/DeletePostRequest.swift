public import JSONText

/// Removes a post from the platform; a post that is gone already counts as removed.
public struct DeletePostRequest: RequestMessage, Equatable {
  /// What a plugin answers.
  public struct Answer: WireValue, Equatable {
    /// Whether the post is gone.
    public var deleted: Bool

    /// Makes an answer.
    public init(deleted: Bool = true) {
      self.deleted = deleted
    }

    /// Reads the object.
    public init(json: RawJSON) throws(JSONTextError) {
      let object = try json.object()
      guard let deleted = try object.optionalBool("deleted") else {
        throw JSONTextError(.missing, at: 0, field: "deleted")
      }
      self.deleted = deleted
    }

    /// Writes the object.
    public func write(to writer: inout JSONWriter) {
      writer.object { $0.field("deleted", deleted) }
    }
  }

  /// Name on the wire.
  public static let method = "post/delete"

  /// Names the call.
  public var meta: CallMeta
  /// The account.
  public var account: Account
  /// The fixed facts of the delivery.
  public var job: JobInfo
  /// The platform's id of the post.
  public var remoteID: String

  /// Makes the request.
  public init(meta: CallMeta, account: Account, job: JobInfo, remoteID: String) {
    self.meta = meta
    self.account = account
    self.job = job
    self.remoteID = remoteID
  }

  /// Reads the params.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    meta = try object.read(CallMeta.key)
    account = try object.read("account")
    job = try object.read("job")
    remoteID = try object.string("remoteId")
  }

  /// Writes the params.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field(CallMeta.key, meta)
      writer.field("account", account)
      writer.field("job", job)
      writer.field("remoteId", remoteID)
    }
  }
}
