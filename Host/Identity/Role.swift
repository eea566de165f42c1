/// What a person may do in one site. Every role may do what the ones below it may.
package enum Role: String, Sendable, CaseIterable, Comparable {
  case viewer
  case author
  case editor
  case admin
  case owner

  private var rank: Int {
    switch self {
    case .viewer: 0
    case .author: 1
    case .editor: 2
    case .admin: 3
    case .owner: 4
    }
  }

  package static func < (left: Role, right: Role) -> Bool { left.rank < right.rank }
}

/// Something that a request wants to do in a site.
///
/// The raw values are the scopes of tokens.
package enum Permission: String, Sendable, CaseIterable {
  case read
  /// Write posts and upload media.
  case write
  /// Send, schedule, cancel and retry.
  case publish
  /// Connect and disconnect accounts, make targets.
  case manageAccounts = "accounts"
  /// Change the site and see its members.
  case manageSite = "site"
  /// Let people in, change their roles and let them go.
  case manageMembers = "members"

  /// The lowest role that may do it.
  package var minimumRole: Role {
    switch self {
    case .read: .viewer
    case .write: .author
    case .publish: .editor
    case .manageAccounts, .manageSite: .admin
    case .manageMembers: .owner
    }
  }
}

extension Role {
  /// The one place that decides what a role may do.
  package func allows(_ permission: Permission) -> Bool { self >= permission.minimumRole }
}
