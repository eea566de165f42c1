public import JSONText

/// One account on the platform, as the host knows it.
public struct Account: WireValue, Equatable {
  /// The platform's id of the account; empty before it was identified.
  public var id: String
  /// Name for people.
  public var name: String
  /// Handle without a leading @.
  public var handle: String?
  /// Public page of the account.
  public var url: String?
  /// Origin of the server the account lives on, where the platform has many.
  public var origin: String?
  /// The account's capabilities as last asked, nil before.
  public var capabilities: RawJSON?

  /// Makes an account.
  public init(
    id: String,
    name: String,
    handle: String? = nil,
    url: String? = nil,
    origin: String? = nil,
    capabilities: RawJSON? = nil
  ) {
    self.id = id
    self.name = name
    self.handle = handle
    self.url = url
    self.origin = origin
    self.capabilities = capabilities
  }

  /// Reads the object.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    id = try object.optionalString("id") ?? ""
    name = try object.optionalString("name") ?? ""
    handle = try object.optionalString("handle")
    url = try object.optionalString("url")
    origin = try object.optionalString("origin")
    capabilities = object.optional("capabilities")
  }

  /// Writes the object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("id", id)
      writer.field("name", name)
      writer.field("handle", handle)
      writer.field("url", url)
      writer.field("origin", origin)
      writer.field("capabilities", capabilities)
    }
  }
}
