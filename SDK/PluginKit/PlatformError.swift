public import PluginProtocol

/// What an adapter throws; it reaches the host as it is.
public typealias PlatformError = ProtocolError

extension ProtocolError {
  /// Makes an error that says when trying again makes sense; negative times count as none.
  public init(
    _ kind: ErrorKind,
    _ message: String,
    field: String? = nil,
    retryAfter: Duration?,
    upstream: UpstreamDetail? = nil
  ) {
    let milliseconds = retryAfter.map { max(HostServices.milliseconds($0), 0) }
    self.init(kind, message, retryAfterMs: milliseconds, field: field, upstream: upstream)
  }
}
