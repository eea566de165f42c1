import JSONText
public import PluginProtocol

extension Account {
  /// The capabilities as a typed value, nil if the host has none yet.
  ///
  /// - Throws: `invalidParams` if they cannot be read.
  public func decodedCapabilities() throws(ProtocolError) -> Capabilities? {
    guard let capabilities else { return nil }
    do throws(JSONTextError) { return try Capabilities(json: capabilities) } catch {
      throw ProtocolError(.invalidParams, "the capabilities cannot be read: \(error)", field: "account.capabilities")
    }
  }
}
