package import Cryptography
package import FoundationEssentials

/// What an account is connected with: what a person entered, or what a sign-in at the platform gave.
package struct ConnectionRequest: Sendable {
  package var siteID: Int64
  package var userID: Int64?
  /// A plugin's id or one of its aliases.
  package var platform: String
  /// Values by the names of the manifest's secrets.
  package var credentials: [String: Secret]
  /// Values by the names of the manifest's account fields.
  package var fields: [String: String]
  /// Nil for credentials that were entered.
  package var grant: CredentialGrant?
  /// The account that somebody chose, for a sign-in that reaches several; nil for the one that the credentials are of.
  package var accountID: String?

  package init(
    siteID: Int64,
    userID: Int64?,
    platform: String,
    credentials: [String: Secret],
    fields: [String: String],
    grant: CredentialGrant? = nil,
    accountID: String? = nil
  ) {
    self.siteID = siteID
    self.userID = userID
    self.platform = platform
    self.credentials = credentials
    self.fields = fields
    self.grant = grant
    self.accountID = accountID
  }
}

/// What a sign-in at a platform gave for an account beside its access token.
package struct CredentialGrant: Sendable {
  /// The name of the refresh token among the sealed secrets of a connection. No manifest can name a secret like this.
  package static let refreshToken = "oauth.refresh"
  /// The same for the token of the person, where the account has one of its own.
  package static let userToken = "oauth.user"
  /// Names that nobody enters.
  package static let reserved: Set<String> = [refreshToken, userToken]

  package var refreshToken: Secret?
  package var userToken: Secret?
  package var issuedAt: Date
  /// Nil if nobody knows.
  package var expiresAt: Date?
  /// Nil if the token can not or need not be renewed.
  package var renewAt: Date?
  /// What was allowed.
  package var scopes: [String]
  /// The application of the site that the platform knows; nil for the host's.
  package var appID: Int64?

  package init(
    refreshToken: Secret?,
    userToken: Secret?,
    issuedAt: Date,
    expiresAt: Date?,
    renewAt: Date?,
    scopes: [String],
    appID: Int64?
  ) {
    self.refreshToken = refreshToken
    self.userToken = userToken
    self.issuedAt = issuedAt
    self.expiresAt = expiresAt
    self.renewAt = renewAt
    self.scopes = scopes
    self.appID = appID
  }

  /// Its secrets under the reserved names.
  var secrets: [String: Secret] {
    [Self.refreshToken: refreshToken, Self.userToken: userToken].compactMapValues(\.self)
  }
}
