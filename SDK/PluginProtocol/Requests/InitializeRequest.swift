public import JSONText

/// The host's first message.
public struct InitializeRequest: RequestMessage, Equatable {
  /// What the host allows.
  public struct Limits: WireValue, Equatable {
    /// Most bytes of one frame, in both directions.
    public var frameBytes: Int64
    /// Most calls the host has open at once.
    public var inFlight: Int64

    /// Makes limits.
    public init(frameBytes: Int64 = 1_048_576, inFlight: Int64 = 256) {
      self.frameBytes = frameBytes
      self.inFlight = inFlight
    }

    /// Reads the object.
    public init(json: RawJSON) throws(JSONTextError) {
      let object = try json.object()
      frameBytes = try object.optionalInt64("frameBytes") ?? 1_048_576
      inFlight = try object.optionalInt64("inFlight") ?? 256
    }

    /// Writes the object.
    public func write(to writer: inout JSONWriter) {
      writer.object { writer in
        writer.field("frameBytes", frameBytes)
        writer.field("inFlight", inFlight)
      }
    }
  }

  /// What a plugin answers.
  public struct Answer: WireValue, Equatable {
    /// The version both will speak.
    public var version: ProtocolVersion
    /// Who answers.
    public var plugin: PluginIdentity
    /// Methods the plugin implements.
    public var methods: [String]

    /// Makes an answer.
    public init(version: ProtocolVersion, plugin: PluginIdentity, methods: [String]) {
      self.version = version
      self.plugin = plugin
      self.methods = methods
    }

    /// Reads the object.
    public init(json: RawJSON) throws(JSONTextError) {
      let object = try json.object()
      guard let version = ProtocolVersion(try object.string("protocol")) else {
        throw JSONTextError(.wrongType, at: 0, field: "protocol")
      }
      self.version = version
      plugin = try object.read("plugin")
      methods = try object.strings("methods")
    }

    /// Writes the object.
    public func write(to writer: inout JSONWriter) {
      writer.object { writer in
        writer.field("protocol", version.description)
        writer.field("plugin", plugin)
        writer.field("methods", methods)
      }
    }
  }

  /// Name on the wire.
  public static let method = "initialize"

  /// Versions the host speaks.
  public var versions: ProtocolRange
  /// Name of the host.
  public var hostName: String
  /// Version of the host.
  public var hostVersion: String
  /// The plugin the host believes it has started.
  public var plugin: PluginIdentity
  /// What the host allows.
  public var limits: Limits

  /// Makes the request.
  public init(
    versions: ProtocolRange = .supported,
    hostName: String = "rostrum",
    hostVersion: String,
    plugin: PluginIdentity,
    limits: Limits = Limits()
  ) {
    self.versions = versions
    self.hostName = hostName
    self.hostVersion = hostVersion
    self.plugin = plugin
    self.limits = limits
  }

  /// Reads the params.
  public init(json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    versions = try object.read("protocol")
    let host = try object.optionalObject("host")
    hostName = try host?.optionalString("name") ?? ""
    hostVersion = try host?.optionalString("version") ?? ""
    plugin = try object.read("plugin")
    limits = try object.readOptional("limits") ?? Limits()
  }

  /// Writes the params.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("protocol", versions)
      writer.object("host") { writer in
        writer.field("name", hostName)
        writer.field("version", hostVersion)
      }
      writer.field("plugin", plugin)
      writer.field("limits", limits)
    }
  }
}
