internal import Synchronization

/// The address that people and platforms reach the host at. A host that lets the system choose its port knows it only
/// when it listens.
package final class OwnAddress: Sendable {
  private let known: Mutex<String?>

  package init(_ text: String?) {
    known = Mutex(text)
  }

  /// Without a slash at the end; nil before it is known.
  package var text: String? { known.withLock { $0 } }

  /// Names it, unless it is known already.
  package func settle(_ text: String) {
    known.withLock { $0 = $0 ?? text }
  }

  /// Where a platform sends browsers back to. Each platform has an address of its own, so that a code never comes to
  /// another one's.
  package static func callback(_ platform: String, below address: String) -> String {
    "\(address)\(path(platform, "callback"))"
  }

  static func path(_ platform: String, _ end: String) -> String {
    "/api/admin/distribution/platforms/\(platform)/\(end)"
  }
}
