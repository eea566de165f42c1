package import Cryptography
package import FoundationEssentials

/// A system whose signed tokens let its own people into one site, such as a CMS.
package struct TokenIssuer: Sendable {
  /// How its tokens are checked. One kind for each issuer, so that a public key is never taken for a shared secret.
  package enum Keys: Sendable {
    /// RS256, ES256 and EdDSA, with the key set at this address.
    case published(url: String)
    /// HS256 with a secret that both sides know; nil where the secret is not shown.
    case shared(Secret?)
  }

  package var id: Int64
  package var site: Int64
  package var name: String
  /// The `iss` of its tokens.
  package var issuer: String
  /// What the `aud` of its tokens must hold.
  package var audience: String
  package var keys: Keys
  /// The claim that says what somebody is there: one text or a list of texts.
  package var roleClaim: String
  /// The role here for each value of that claim; the highest one counts.
  package var roles: [String: Role]
  /// The role of those whose claim says nothing that is known; nil: none, they are let in nowhere.
  package var defaultRole: Role?
  package var createdAt: Date

  /// The highest role that an issuer may give: letting people in is for people who signed in here.
  package static let highestRole = Role.admin
  /// A shared secret is at least as long as what it makes.
  package static let secretBytes = 32...1_024

  package init(
    id: Int64 = 0,
    site: Int64,
    name: String,
    issuer: String,
    audience: String,
    keys: Keys,
    roleClaim: String = "role",
    roles: [String: Role] = [:],
    defaultRole: Role? = nil,
    createdAt: Date = Date()
  ) {
    self.id = id
    self.site = site
    self.name = name
    self.issuer = issuer
    self.audience = audience
    self.keys = keys
    self.roleClaim = roleClaim
    self.roles = roles
    self.defaultRole = defaultRole
    self.createdAt = createdAt
  }

  /// What a token's bearer is in the site; nil: nothing.
  func role(of token: WebToken) -> Role? {
    token.texts(roleClaim).compactMap { roles[$0] }.max() ?? defaultRole
  }
}
