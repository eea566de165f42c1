import HTTPServer
import Identity
import JSONDocument

/// Decides at one place whether a request may go on, by what its operation declares. Nothing else of the request is
/// looked at before.
enum Admission {
  /// The site of the request, after role and scopes were checked; nil for operations that have none.
  ///
  /// - Throws: 403 when the role does not allow it, 404 for a site that is out of reach: such a site is like none.
  static func site(
    _ access: Endpoint.Access,
    _ principal: Principal?,
    query: QueryParameters,
    body: JSONValue,
    parameters: PathParameters
  ) throws -> Int64? {
    switch access {
    case .open: return nil
    case .operatorOnly:
      guard try caller(principal).isOperator else {
        throw forbidden("This needs a user who looks after the whole host (an operator)")
      }
      return nil
    case .person:
      guard case .session = try caller(principal).credential else {
        throw forbidden("This needs a person who signed in with a password; a token can not do it")
      }
      return nil
    case .signedIn:
      let principal = try caller(principal)
      guard principal.includes(.read) else { throw outOfScope(.read) }
      // A list over all sites may be narrowed to one.
      guard let named = try query.int64("siteId", 1...Int64.max) else { return nil }
      try check(.read, in: named, principal, field: "siteId")
      return named
    case .siteInPath(let permission):
      let site = try parameters.int64("id")
      let principal = try caller(principal)
      // Operators see every site, and change those in which they have a role.
      if principal.roles[site] == nil, principal.isOperator {
        try check(Role.viewer, allows: permission, in: site)
      } else {
        try check(permission, in: site, principal, field: nil)
      }
      return site
    case .siteOrHost(let permission):
      let principal = try caller(principal)
      // What operators see of sites is not limited by their roles there.
      if principal.isOperator { return try query.int64("siteId", 1...Int64.max) }
      let site = try named(query, body, principal)
      try check(permission, in: site, principal, field: "siteId")
      return site
    case .site(let permission):
      let principal = try caller(principal)
      let site = try named(query, body, principal)
      try check(permission, in: site, principal, field: "siteId")
      return site
    }
  }

  private static func caller(_ principal: Principal?) throws -> Principal {
    guard let principal else { throw HTTPProblem.unauthorized }
    return principal
  }

  private static func named(_ query: QueryParameters, _ body: JSONValue, _ principal: Principal) throws -> Int64 {
    let inQuery = try query.int64("siteId", 1...Int64.max)
    let member = body.objectValue?["siteId"]
    if let member { try Schema.id.check(member, at: "siteId") }
    let inBody = member?.int64Value
    if let inQuery, let inBody, inQuery != inBody {
      throw HTTPProblem(
        status: 400,
        code: "notAllowed",
        message: "siteId is \(inQuery) in the address and \(inBody) in the body; send it once",
        field: "siteId"
      )
    }
    guard let site = inQuery ?? inBody ?? principal.onlySite else {
      throw HTTPProblem(
        status: 400,
        code: "missing",
        message: "siteId is missing; you reach \(principal.roles.count) sites, so the request must name one",
        field: "siteId"
      )
    }
    return site
  }

  private static func check(
    _ permission: Permission,
    in site: Int64,
    _ principal: Principal,
    field: String?
  ) throws {
    guard let role = principal.roles[site] else {
      throw HTTPProblem(
        status: 404,
        code: "site_not_found",
        message: "There is no site \(site) that you reach",
        field: field
      )
    }
    guard principal.includes(permission) else { throw outOfScope(permission) }
    try check(role, allows: permission, in: site)
  }

  private static func check(_ role: Role, allows permission: Permission, in site: Int64) throws {
    guard role.allows(permission) else {
      throw forbidden(
        "Your role in site \(site) is \(role.rawValue); this needs at least \(permission.minimumRole.rawValue)"
      )
    }
  }

  private static func outOfScope(_ permission: Permission) -> HTTPProblem {
    forbidden("The token's scopes do not include “\(permission.rawValue)”, which this needs")
  }

  private static func forbidden(_ message: String) -> HTTPProblem {
    HTTPProblem(status: 403, code: "forbidden", message: message)
  }
}
