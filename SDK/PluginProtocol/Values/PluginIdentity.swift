public import JSONText

/// Id and version of a plugin.
public struct PluginIdentity: WireValue, Equatable {
  /// Id, as in the manifest.
  public var id: String
  /// Version, as in the manifest.
  public var version: String
  /// The kit the plugin was built with, such as `swift/1.0.0`; only in the plugin's answer.
  public var sdk: String?

  /// Makes an identity.
  public init(id: String, version: String, sdk: String? = nil) {
    self.id = id
    self.version = version
    self.sdk = sdk
  }

  /// Reads the object.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    id = try object.string("id")
    version = try object.string("version")
    sdk = try object.optionalString("sdk")
  }

  /// Writes the object.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("id", id)
      writer.field("version", version)
      writer.field("sdk", sdk)
    }
  }
}
