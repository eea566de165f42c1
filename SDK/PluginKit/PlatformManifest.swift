/// What a plugin says about itself; must equal its manifest file.
public struct PlatformManifest: Sendable, Equatable {
  /// Id of the plugin.
  public var id: String
  /// Version of the plugin.
  public var version: String
  /// Methods it implements, sorted.
  public var methods: [String]
  /// One sentence for somebody who starts the plugin by hand.
  public var summary: String

  /// Makes a manifest; without `methods`, the plugin implements all methods of a platform.
  public init(
    id: String,
    version: String,
    summary: String,
    methods: Set<String> = MessageRegistry.platformMethods
  ) {
    self.id = id
    self.version = version
    self.summary = summary
    self.methods = methods.sorted()
  }
}
