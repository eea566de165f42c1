import Audit
import HTTPServer
import Identity
import JSONDocument
import Postgres

/// Everybody on the host, for operators.
enum UserRoutes {
  private static let shape = Schema.object([
    .required("id", .id), .required("email", .string(3...254)), .required("name", .string(0...200)),
    .required("isOperator", .boolean), .required("createdAt", .instant), .required("disabledAt", .nullable(.instant)),
  ])

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: "/api/users",
      summary: "Everybody on the host",
      access: .operatorOnly,
      query: [.cursor, .limit],
      success: .page(shape),
      handler: { context in
        let limit = try context.pageLimit()
        let rows = try await context.services.users.list(after: try context.cursor() ?? 0, limit: limit)
        return Envelope.page(rows.map(json), nextCursor: rows.count == limit ? rows.last?.id : nil)
      }
    ),
    Endpoint(
      method: .post,
      path: "/api/users/{id}/disable",
      summary: "Let a user in no more: sessions end, tokens rest",
      access: .operatorOnly,
      success: .json(200, shape),
      refusals: [409],
      handler: { try await setDisabled(true, $0) }
    ),
    Endpoint(
      method: .post,
      path: "/api/users/{id}/enable",
      summary: "Let a disabled user in again",
      access: .operatorOnly,
      success: .json(200, shape),
      handler: { try await setDisabled(false, $0) }
    ),
  ]

  private static func setDisabled(_ isDisabled: Bool, _ context: APIContext) async throws -> HTTPResponse {
    let (id, caller) = (try context.id(), try context.caller())
    guard !isDisabled || id != caller.userID else {
      throw HTTPProblem(status: 409, code: "own_user", message: "You can not disable yourself")
    }
    try await context.services.pool.transaction { tx in
      try await context.services.users.setDisabled(isDisabled, user: id, in: tx)
      try await tx.execute(context.audit(isDisabled ? .userDisable : .userEnable, "user:\(id)", site: nil))
    }
    context.services.tokens.forgetRoles()
    return Envelope.ok(json(try await context.services.users.user(id)))
  }

  private static func json(_ user: User) -> JSONValue {
    [
      "id": .int(user.id), "email": .string(user.email), "name": .string(user.name),
      "isOperator": .bool(user.isOperator), "createdAt": .instant(user.createdAt),
      "disabledAt": .instant(user.disabledAt),
    ]
  }
}
