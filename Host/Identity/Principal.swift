/// Who makes a request, and what it may do where.
package struct Principal: Sendable, Equatable {
  package let tokenID: Int64
  package let userID: Int64
  package let name: String
  /// May create sites and see the host's own state.
  package let isOperator: Bool
  /// The role in every site that the token reaches.
  package let roles: [Int64: Role]

  package init(tokenID: Int64, userID: Int64, name: String, isOperator: Bool, roles: [Int64: Role]) {
    self.tokenID = tokenID
    self.userID = userID
    self.name = name
    self.isOperator = isOperator
    self.roles = roles
  }

  /// The site of a request that may leave it out: the only one that the token reaches.
  package var onlySite: Int64? { roles.count == 1 ? roles.keys.first : nil }

  /// Whether the principal may do something in a site. A site that is out of reach is like one that does not exist.
  package func may(_ permission: Permission, in site: Int64) -> Bool {
    roles[site]?.allows(permission) ?? false
  }
}
