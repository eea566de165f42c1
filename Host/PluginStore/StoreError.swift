/// Why a bundle or an installed plugin is refused; safe to show and to log.
package struct StoreError: Error, Sendable, Equatable, CustomStringConvertible {
  package enum Code: String, Sendable {
    /// The bundle is no bundle, or one that must not be unpacked.
    case malformed
    /// The manifest of the bundle can not be used.
    case manifest
    /// The signature does not fit, or is missing.
    case signature
    /// A file is not what its manifest says.
    case tampered
    /// The bundle has nothing for this machine.
    case platform
    /// What was named is not installed or not known.
    case notFound
    /// The state of the installation does not allow it.
    case conflict
    /// The key file can not be used.
    case key
    /// The download failed.
    case download
    /// The disk or the database failed.
    case io
  }

  package let code: Code
  /// What is wrong and what to do.
  package let message: String

  package init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  package var description: String { message }
}
