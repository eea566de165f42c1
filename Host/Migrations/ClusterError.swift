/// Why the private database cannot be used.
package struct ClusterError: Error, Hashable, Sendable, CustomStringConvertible {
  package enum Code: Hashable, Sendable {
    /// Another program serves this home.
    case homeInUse
    /// PostgreSQL 15 or newer is not installed, or not the version that the data needs.
    case noBinaries
    /// A folder has the wrong owner or rights, or cannot be made.
    case folder
    /// `initdb` failed.
    case initialization
    /// The server does not become ready, or ends again and again.
    case notReady
  }

  package let code: Code
  package let description: String

  package init(_ code: Code, _ description: String) {
    self.code = code
    self.description = description
  }
}
