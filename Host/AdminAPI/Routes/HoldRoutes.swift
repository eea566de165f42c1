import HTTPServer
import Identity
import JSONDocument
import Publishing

/// The hold of the whole installation: after a restore or a failover nothing is sent until a person has decided.
enum HoldRoutes {
  private static let hold = Schema.object([
    .required("cause", .choice(HoldCause.allCases.map(\.rawValue))), .required("reason", .string(1...2000)),
    .required("advice", .string(1...2000)),
    .required("knownUntil", .instant, "What was published later may be missing in the database"),
    .required("heldAt", .instant), .required("doubtful", .integer(0...Int64.max), "Deliveries that may be out already"),
  ])
  private static let state = Schema.object([.required("isHeld", .boolean), .required("hold", .nullable(hold))])

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: "/api/admin/hold",
      summary: "Whether the installation is on hold, and why",
      access: .operatorOnly,
      success: .json(200, state),
      handler: { Envelope.ok(try await json(HoldStore(pool: $0.services.pool))) }
    ),
    Endpoint(
      method: .post,
      path: "/api/admin/hold/adopt",
      summary: "End the hold: this database counts; every post that was due is looked for before it is sent",
      access: .operatorOnly,
      isSettledByItself: true,
      success: .json(200, state),
      refusals: [409],
      handler: { try await end($0, as: .adopted) }
    ),
    Endpoint(
      method: .post,
      path: "/api/admin/hold/release",
      summary: "End the hold: nothing was published meanwhile; what is due is sent",
      access: .operatorOnly,
      isSettledByItself: true,
      success: .json(200, state),
      refusals: [409],
      handler: { try await end($0, as: .released) }
    ),
  ]

  private static func end(_ context: APIContext, as end: Hold.End) async throws -> HTTPResponse {
    let store = HoldStore(pool: context.services.pool)
    let caller = try context.caller()
    let person = "\(caller.name.prefix(100)) (user \(caller.userID))"
    guard try await store.end(as: end, by: person, user: caller.userID) else {
      throw HTTPProblem(status: 409, code: "not_on_hold", message: "The installation is not on hold")
    }
    return Envelope.ok(try await json(store))
  }

  private static func json(_ store: HoldStore) async throws -> JSONValue {
    let hold = try await json(of: store)
    return ["isHeld": .bool(!hold.isNull), "hold": hold]
  }

  /// The hold as `/health` and the story of a delivery show it too; null when there is none.
  static func json(of store: HoldStore) async throws -> JSONValue {
    guard let hold = try await store.current() else { return .null }
    return [
      "cause": .string(hold.cause), "reason": .string(hold.reason), "advice": .string(Hold.advice),
      "knownUntil": .instant(hold.knownUntil), "heldAt": .instant(hold.heldAt),
      "doubtful": .int(Int64(try await store.doubtful())),
    ]
  }
}
