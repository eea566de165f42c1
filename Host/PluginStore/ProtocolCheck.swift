internal import PluginManifest
internal import PluginProtocol

/// Whether this host and a plugin can speak with each other at all.
enum ProtocolCheck {
  /// - Throws: ``StoreError`` with both ranges, when they have no version in common.
  static func check(_ manifest: PluginManifest) throws(StoreError) {
    let (own, theirs) = (PluginProtocol.ProtocolRange.supported, manifest.protocolRange)
    let low = ProtocolVersion(major: theirs.minimum.major, minor: theirs.minimum.minor)
    let high = ProtocolVersion(major: theirs.maximum.major, minor: theirs.maximum.minor)
    guard own.negotiate(with: PluginProtocol.ProtocolRange(min: low, max: high)) == nil else { return }
    let advice =
      low > own.max
      ? "use a newer version of Rostrum, or an older one of the plugin" : "use a newer version of the plugin"
    throw StoreError(
      .manifest,
      "\(manifest.id) \(manifest.version) speaks versions \(low) to \(high) of the plugin protocol, "
        + "this host \(own.min) to \(own.max): \(advice)"
    )
  }
}
