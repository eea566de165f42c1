public import PluginProtocol

/// Thrown by `publish` when some segments of a post went out and one did not.
public struct PartialPublication: Error, Sendable {
  /// What went out and why the rest did not.
  public let partial: Publication.Partial

  /// Makes it.
  public init(_ partial: Publication.Partial) {
    self.partial = partial
  }
}
