package import Cryptography
package import FoundationEssentials

/// What a platform knows the host or a site as: an OAuth client.
package struct PlatformApp: Sendable {
  /// Nil for the application of the host's own environment, which all sites may use.
  package let id: Int64?
  package let platform: String
  /// The server that it is registered with, for platforms that run on many.
  package let origin: String?
  package let name: String
  package let clientID: String
  /// Nil for a public client, and where the application is only listed.
  package let clientSecret: Secret?
  package let hasSecret: Bool
  /// Whether the site's sign-ins use it when they name none.
  package let isDefault: Bool
  package let createdAt: Date?
}

/// Why an application can not be had or stored.
package enum PlatformAppError: Error, Sendable, Equatable, CustomStringConvertible {
  case notFound(Int64)
  case nameTaken(String)
  /// Accounts were connected with it.
  case inUse(Int64, connections: Int)
  /// There is none for the platform; the text says what to set.
  case notConfigured(String)
  /// A setting is wrong; the text names it and what is allowed.
  case badSetting(String)
  case tooMany(Int)

  package var description: String {
    switch self {
    case .notFound(let id): "There is no application \(id) of this platform in the site"
    case .nameTaken(let name): "The site has an application “\(name)” of this platform already"
    case .inUse(let id, let count):
      "\(count) accounts are connected with the application \(id); disconnect them or connect them again first"
    case .notConfigured(let text), .badSetting(let text): text
    case .tooMany(let limit): "A site has at most \(limit) applications of a platform"
    }
  }
}
