package import Cryptography

/// What a person enters to connect an account.
package struct ConnectionRequest: Sendable {
  package var siteID: Int64
  package var userID: Int64?
  /// A plugin's id or one of its aliases.
  package var platform: String
  /// Values by the names of the manifest's secrets.
  package var credentials: [String: Secret]
  /// Values by the names of the manifest's account fields.
  package var fields: [String: String]

  package init(
    siteID: Int64,
    userID: Int64?,
    platform: String,
    credentials: [String: Secret],
    fields: [String: String]
  ) {
    self.siteID = siteID
    self.userID = userID
    self.platform = platform
    self.credentials = credentials
    self.fields = fields
  }
}
