import Audit
import Cryptography
import FoundationEssentials
import Identity
import JSONDocument
import Postgres
import Sites

/// `rostrum issuer …`
enum IssuerCommands {
  static let all = [list, remove]

  private static let list = Command(
    words: ["issuer", "list"],
    summary: "Show the systems whose signed tokens let people into sites"
  ) { invocation in
    let issuers = try await invocation.withPool { try await TokenIssuerStore.list($0, site: nil) }
    invocation.show(["issuers": .array(issuers.map(json))]) {
      invocation.terminal.table(
        ["id", "site", "name", "issuer", "audience", "keys"],
        issuers.map { ["\($0.id)", "\($0.site)", $0.name, $0.issuer, $0.audience, url($0) ?? "shared secret"] }
      )
    }
    return .success
  }

  private static let remove = Command(
    words: ["issuer", "remove"],
    summary: "Let nobody in any more by tokens of a system",
    operands: [.init(name: "ID", about: "the number that `issuer list` shows")]
  ) { invocation in
    let id = try invocation.id(invocation.operand(0), "ID")
    try await invocation.withPool { pool in
      let site = try await TokenIssuerStore.list(pool, site: nil).first { $0.id == id }?.site
      let audit = AuditEntry.byCommandLine(.issuerRemove, "issuer:\(id)", site: site).insertion
      try await TokenIssuerStore.remove(pool, id, site: nil, also: [audit])
    }
    invocation.show(["removed": .int(id)]) { invocation.terminal.print("Issuer \(id) is removed.") }
    return .success
  }

  private static func url(_ issuer: TokenIssuer) -> String? {
    if case .published(let url) = issuer.keys { url } else { nil }
  }

  private static func json(_ issuer: TokenIssuer) -> JSONValue {
    [
      "id": .int(issuer.id), "siteId": .int(issuer.site), "name": .string(issuer.name),
      "issuer": .string(issuer.issuer), "audience": .string(issuer.audience),
      "jwksUrl": url(issuer).map { .string($0) } ?? .null, "roleClaim": .string(issuer.roleClaim),
      "roles": .object(issuer.roles.mapValues { .string($0.rawValue) }),
      "defaultRole": issuer.defaultRole.map { .string($0.rawValue) } ?? .null,
    ]
  }
}
