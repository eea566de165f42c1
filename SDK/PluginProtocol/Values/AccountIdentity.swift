public import JSONText

/// Who a token belongs to.
public struct AccountIdentity: WireValue, Equatable {
  /// The platform's id of the account.
  public var id: String
  /// Name for people.
  public var name: String
  /// Handle without a leading @.
  public var handle: String?
  /// Public page of the account.
  public var url: String?
  /// Number of followers, where the platform says it.
  public var followers: Int64?
  /// The platform's word for the type of account.
  public var type: String?

  /// Makes an identity.
  public init(
    id: String,
    name: String,
    handle: String? = nil,
    url: String? = nil,
    followers: Int64? = nil,
    type: String? = nil
  ) {
    self.id = id
    self.name = name
    self.handle = handle
    self.url = url
    self.followers = followers
    self.type = type
  }

  /// Reads the object.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    id = try object.string("id")
    name = try object.string("name")
    handle = try object.optionalString("handle")
    url = try object.optionalString("url")
    followers = try object.optionalInt64("followers")
    type = try object.optionalString("type")
  }

  /// Writes the object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("id", id)
      writer.field("name", name)
      writer.field("handle", handle)
      writer.field("url", url)
      writer.field("followers", followers)
      writer.field("type", type)
    }
  }
}
