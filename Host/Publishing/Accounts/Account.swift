package import Cryptography
package import FoundationEssentials
package import JSONText

/// A connected account as a delivery needs it: who it is, what it can do, and its opened credentials.
package struct Account: Sendable {
  package let connectionID: Int64
  package let siteID: Int64
  /// The id of the installed plugin.
  package let platform: String
  package let laneID: Int64
  package let accountID: String
  package let name: String
  package let handle: String?
  package let url: String?
  /// The address that the user gave when connecting, for platforms that have one.
  package let endpoint: String?
  /// Scheme, host and port that the user gave when connecting, for platforms that run on servers of many owners.
  package let origin: String?
  package let capabilities: RawJSON?
  package let secrets: [String: Secret]
  /// The number of the newest revocation when the secrets were entered: a newer one may mean them.
  package let credentialEpoch: Int64
  /// How long the credentials are good; says nothing for those that are not stored yet.
  package let validity: Validity

  /// How long credentials are good.
  package struct Validity: Sendable, Equatable {
    /// The number of the credentials in their row; nil for those that are not stored.
    package var generation: Int64?
    /// When the access token ends; nil if that is not known.
    package var expiresAt: Date?
    /// When it is to be renewed; nil if it can not or need not be.
    package var renewAt: Date?

    package init(generation: Int64? = nil, expiresAt: Date? = nil, renewAt: Date? = nil) {
      self.generation = generation
      self.expiresAt = expiresAt
      self.renewAt = renewAt
    }
  }

  package init(
    connectionID: Int64,
    siteID: Int64,
    platform: String,
    laneID: Int64,
    accountID: String,
    name: String,
    handle: String?,
    url: String?,
    endpoint: String?,
    origin: String? = nil,
    capabilities: RawJSON?,
    secrets: [String: Secret],
    credentialEpoch: Int64 = 0,
    validity: Validity = Validity()
  ) {
    self.connectionID = connectionID
    self.siteID = siteID
    self.platform = platform
    self.laneID = laneID
    self.accountID = accountID
    self.name = name
    self.handle = handle
    self.url = url
    self.endpoint = endpoint
    self.origin = origin
    self.capabilities = capabilities
    self.secrets = secrets
    self.credentialEpoch = credentialEpoch
    self.validity = validity
  }

  /// The account as the wire's `account` object. Credentials are not part of it.
  package func json() -> RawJSON {
    RawJSON.object { writer in
      writer.field("id", accountID)
      writer.field("name", name)
      writer.field("handle", handle)
      writer.field("url", url)
      writer.field("origin", origin ?? endpoint)
      writer.field("capabilities", capabilities)
    }
  }
}
