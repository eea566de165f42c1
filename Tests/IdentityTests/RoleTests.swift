import Testing

@testable import Identity

@Suite struct RoleTests {
  @Test func everyRoleMayWhatTheOnesBelowMay() {
    let allowed: [Role: Set<Permission>] = [
      .viewer: [.read], .author: [.read, .write], .editor: [.read, .write, .publish],
      .admin: Set(Permission.allCases).subtracting([.manageMembers]), .owner: Set(Permission.allCases),
    ]
    for role in Role.allCases {
      for permission in Permission.allCases {
        #expect(role.allows(permission) == (allowed[role]?.contains(permission) ?? false), "\(role) \(permission)")
      }
    }
    #expect(Role.allCases.sorted() == [.viewer, .author, .editor, .admin, .owner])
  }

  @Test func aSiteOutOfReachIsLikeNone() {
    let principal = Principal(credential: .token(1), userID: 1, name: "A", isOperator: false, roles: [7: .owner])
    #expect(principal.may(.manageSite, in: 7))
    #expect(!principal.may(.read, in: 8))
    #expect(principal.onlySite == 7)
    #expect(Principal(credential: .token(1), userID: 1, name: "A", isOperator: true, roles: [:]).onlySite == nil)
  }
}
