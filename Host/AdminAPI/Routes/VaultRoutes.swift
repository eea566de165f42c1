import Audit
import HTTPServer
import Identity
import JSONDocument
import Postgres
import Publishing
import Vault

/// The keys that seal credentials, and the emergency stop for credentials.
enum VaultRoutes {
  private static let number = Schema.integer(1...4_294_967_295)
  private static let count = Schema.integer(0...Int64.max)

  private static let rotation = Schema.object([
    .required("id", .id), .required("siteId", .nullable(.id), "Null: the key of the hosts"),
    .required("oldKey", number), .required("newKey", number), .required("isCompromised", .boolean),
    .required("resealed", count, "Values that got the new key"),
    .required("quarantined", count, "Values that did not open"), .required("createdAt", .instant),
    .required("endedAt", .nullable(.instant)),
  ])

  private static let revocation = Schema.object([
    .required("id", .id), .required("scope", .choice(Revocation.Scope.kinds)), .required("subject", .string(0...200)),
    .required("reason", .string(1...500)), .required("createdAt", .instant, "Out of use since then"),
    .required("endedAt", .nullable(.instant), "When all connections were marked and wiped"),
    .required("connections", count), .required("asked", count, "The platform has not answered yet"),
    .required("revoked", count, "Revoked at the platform too"),
    .required("unsupported", count, "The platform has no way; revoke them there by hand"), .required("failed", count),
  ])

  private static let state = Schema.object([
    .required(
      "hostKeys",
      .array(
        .object([
          .required("key", number), .required("status", .choice(VaultStatus.statuses)),
          .required("isCompromised", .boolean), .required("createdAt", .instant),
          .required("activatedAt", .nullable(.instant)), .required("dataKeys", count),
          .required("ageDays", count, "Since it seals, or since it waits to"),
          .required("isOld", .boolean, "It seals for more than \(KeyRotations.longestUseDays) days: change it"),
        ]),
        0...1000
      )
    ),
    .required("dataKeys", .object(VaultStatus.statuses.map { .required($0, count) }), "Keys of the sites by status"),
    .required("oldDataKeys", count, "Keys of sites that seal for more than \(KeyRotations.longestUseDays) days"),
    .required("rotations", .array(rotation, 0...100)),
    .required(
      "quarantine",
      .array(
        .object([
          .required("place", .string(1...200)), .required("row", .string(0...1000)), .required("key", number),
          .required("foundAt", .instant),
        ]),
        0...100
      ),
      "Sealed values that did not open"
    ),
    .required(
      "hosts",
      .array(
        .object([
          .required("home", .string(1...4096)), .required("keys", .array(number, 0...1000)),
          .required("seenAt", .instant),
        ]),
        0...100
      )
    ),
    .required("revocations", .array(revocation, 0...100)),
  ])

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: "/api/admin/vault",
      summary: "The keys that seal credentials, changes of keys, and revocations",
      access: .operatorOnly,
      success: .json(200, state),
      handler: { Envelope.ok(try await status($0)) }
    ),
    Endpoint(
      method: .post,
      path: "/api/admin/vault/rotations",
      summary: "Change the key of a site, or of the hosts; everything goes on meanwhile",
      access: .operatorOnly,
      body: .object([
        .optional("siteId", .id, "The site; left out: the key of the hosts"),
        .optional("hostKey", number, "Which key of the setting; left out: the newest one that waits"),
        .optional("compromised", .boolean, "Others may know the old key: every account must get new credentials"),
      ]),
      isSettledByItself: true,
      success: .json(202, rotation),
      refusals: [404, 409],
      handler: rotate
    ),
    Endpoint(
      method: .post,
      path: "/api/admin/vault/revocations",
      summary: "Take credentials out of use at once, on every host; the way back is to connect again",
      access: .operatorOnly,
      body: .object([
        .required("scope", .choice(Revocation.Scope.kinds)), .optional("connectionId", .id), .optional("siteId", .id),
        .optional("platform", .string(1...40)),
        .required("reason", .string(1...500), "Shown to the people of each account"),
      ]),
      isSettledByItself: true,
      success: .json(202, revocation),
      refusals: [404],
      handler: revoke
    ),
    Endpoint(
      method: .post,
      path: "/api/admin/vault/keys/{key}/destroy",
      summary: "End a disabled key of the hosts for good, so that it may leave the setting",
      access: .operatorOnly,
      isSettledByItself: true,
      success: .json(200, state),
      refusals: [404, 409],
      handler: destroy
    ),
  ]

  private static func status(_ context: APIContext) async throws -> JSONValue {
    var members = try await context.services.rotations.status().json.objectValue ?? [:]
    members["revocations"] = .array(try await context.services.revocations.list().map(\.json))
    return .object(members)
  }

  private static func rotate(_ context: APIContext) async throws -> HTTPResponse {
    let site = context.member("siteId")?.int64Value
    let key = context.member("hostKey")?.int64Value
    guard site == nil || key == nil else {
      throw HTTPProblem(
        status: 400,
        code: "notAllowed",
        message: "Send either siteId or hostKey",
        field: "hostKey"
      )
    }
    let isCompromised = context.member("compromised")?.boolValue ?? false
    let request = KeyRotations.Request(
      isCompromised: isCompromised,
      user: context.principal?.userID,
      also: [context.audit(.vaultRotate, site.map { "site:\($0)" } ?? "host", site: site)]
    )
    let rotations = context.services.rotations
    let rotation =
      if let site { try await rotations.rotate(site: site, request) } else {
        try await rotations.rotateHostKey(to: key, request)
      }
    return Envelope.ok(rotation.json, status: 202)
  }

  private static func revoke(_ context: APIContext) async throws -> HTTPResponse {
    let kind = context.member("scope")?.stringValue ?? ""
    let site = context.member("siteId")?.int64Value
    let subjects = [
      "connection": ("connectionId", context.member("connectionId")?.int64Value.map { "\($0)" }),
      "site": ("siteId", site.map { "\($0)" }), "platform": ("platform", context.member("platform")?.stringValue),
    ]
    for (name, (member, value)) in subjects.sorted(by: { $0.key < $1.key }) where (name == kind) == (value == nil) {
      throw HTTPProblem(
        status: 400,
        code: name == kind ? "missing" : "notAllowed",
        message: name == kind ? "\(member) is missing" : "\(member) does not go with the scope \(kind)",
        field: member
      )
    }
    guard let scope = Revocation.Scope(kind: kind, subject: subjects[kind]?.1 ?? "") else {
      throw HTTPProblem(status: 400, code: "notAllowed", message: "The scope is not known", field: "scope")
    }
    let subject = scope.subject.isEmpty ? scope.kind : "\(scope.kind):\(scope.subject)"
    let revocation = try await context.services.revocations.begin(
      scope,
      reason: context.member("reason")?.stringValue ?? "",
      user: context.principal?.userID,
      also: [context.audit(.vaultRevoke, subject, site: site)]
    )
    return Envelope.ok(revocation.json, status: 202)
  }

  private static func destroy(_ context: APIContext) async throws -> HTTPResponse {
    let text = try context.request.parameters.string("key")
    guard let key = Int64(text), key > 0 else {
      throw VaultRefusal.noSuchKey(text)
    }
    try await context.services.rotations.destroy(
      hostKey: key,
      also: [context.audit(.vaultDestroy, "key:\(key)", site: nil)]
    )
    return Envelope.ok(try await status(context))
  }
}
