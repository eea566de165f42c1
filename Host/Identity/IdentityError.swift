/// Why an identity could not be stored or found.
package enum IdentityError: Error, Sendable, Equatable, CustomStringConvertible {
  case unknownUser(String)
  case unknownMember(Int64)
  case unknownToken(Int64)
  case emailTaken(String)
  case invalidEmail(String)
  case lastOwner
  case unknownIssuer(Int64)
  case invalidIssuer(String)

  package var description: String {
    switch self {
    case .unknownUser(let user): "There is no active user “\(user)”; see `rostrum user list`"
    case .unknownMember(let user): "The user \(user) has no role in this site"
    case .unknownToken(let id): "There is no token \(id) that is not revoked yet"
    case .emailTaken(let email): "There is already a user with the address \(email)"
    case .invalidEmail(let email): "“\(email)” is no e-mail address; an example is editor@example.org"
    case .unknownIssuer(let id): "There is no issuer \(id) in this site"
    case .invalidIssuer(let reason): reason
    case .lastOwner: "The site would have no owner left; make somebody else an owner first"
    }
  }
}
