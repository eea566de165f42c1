internal import JSONText
internal import PluginManifest
internal import PluginProtocol

/// The first exchange with a plugin: what the host says, and what it accepts as an answer.
struct Handshake {
  private let manifest: PluginManifest
  private let hostVersion: String

  init(manifest: PluginManifest, hostVersion: String) {
    self.manifest = manifest
    self.hostVersion = hostVersion
  }

  var request: InitializeRequest {
    InitializeRequest(
      hostVersion: hostVersion,
      plugin: PluginIdentity(id: manifest.id, version: manifest.version.description),
      limits: InitializeRequest.Limits(
        frameBytes: Int64(PluginReader.maximumFrameBytes),
        inFlight: Int64(manifest.limits.inFlight)
      )
    )
  }

  /// Checks the plugin's answer.
  ///
  /// - Returns: What is wrong with it, or nil.
  func problem(with result: RawJSON) -> PluginStopReason? {
    let answer: InitializeRequest.Answer
    do {
      answer = try InitializeRequest.Answer(json: result)
    } catch {
      return .protocolViolation("its answer to initialize cannot be read: \(error)")
    }
    let supported = PluginProtocol.ProtocolRange.supported
    guard (supported.min...supported.max).contains(answer.version) else {
      return .manifestMismatch(
        "it chose protocol \(answer.version); this host speaks \(supported.min) to \(supported.max)"
      )
    }
    let identity = (id: manifest.id, version: manifest.version.description)
    guard answer.plugin.id == identity.id, answer.plugin.version == identity.version else {
      return .manifestMismatch(
        "it says it is \(answer.plugin.id) \(answer.plugin.version); its manifest says \(identity.id) \(identity.version)"
      )
    }
    let missing = Set(manifest.methods).subtracting(answer.methods).sorted()
    let extra = Set(answer.methods).subtracting(manifest.methods).sorted()
    guard missing.isEmpty, extra.isEmpty else {
      return .manifestMismatch(
        "its methods differ from its manifest: missing [\(missing.joined(separator: ", "))], "
          + "undeclared [\(extra.joined(separator: ", "))]"
      )
    }
    return nil
  }

  /// Explains an error with which the plugin answered.
  func problem(with error: ProtocolError) -> PluginStopReason {
    guard error.kind == .versionMismatch else { return .startFailed("it refused initialize: \(error)") }
    let supported = PluginProtocol.ProtocolRange.supported
    return .manifestMismatch(
      "no protocol version in common: this host speaks \(supported.min) to \(supported.max), "
        + "\(manifest.id) \(manifest.version) speaks \(manifest.protocolRange); install another release of it"
    )
  }
}
