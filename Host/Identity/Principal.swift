/// Who makes a request, and what it may do where.
package struct Principal: Sendable, Equatable {
  /// What proved who it is.
  package enum Credential: Sendable, Hashable {
    case token(Int64)
    /// A person who signed in with a password or a one-time link.
    case session(Int64)
    /// A person of another system, by a token that it signed.
    case webToken(user: Int64)
  }

  package let credential: Credential
  package let userID: Int64
  package let name: String
  /// May create sites and see the host's own state.
  package let isOperator: Bool
  /// The role in every site that the credential reaches.
  package let roles: [Int64: Role]

  /// What the credential may be used for, in sites where the role allows it; nil: everything.
  package let scopes: Set<Permission>?

  package init(
    credential: Credential,
    userID: Int64,
    name: String,
    isOperator: Bool,
    roles: [Int64: Role],
    scopes: Set<Permission>? = nil
  ) {
    self.credential = credential
    self.userID = userID
    self.name = name
    self.isOperator = isOperator
    self.roles = roles
    self.scopes = scopes
  }

  /// The site of a request that may leave it out: the only one that the credential reaches.
  package var onlySite: Int64? { roles.count == 1 ? roles.keys.first : nil }

  /// Whether the principal may do something in a site. A site that is out of reach is like one that does not exist.
  package func may(_ permission: Permission, in site: Int64) -> Bool {
    includes(permission) && roles[site]?.allows(permission) ?? false
  }

  /// Whether the credential may be used for something at all.
  package func includes(_ permission: Permission) -> Bool { scopes?.contains(permission) ?? true }
}
