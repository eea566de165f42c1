import Audit
import Cryptography
import FoundationEssentials
import Identity
import JSONDocument
import Postgres
import Sites
import Synchronization

/// `rostrum token …`
enum TokenCommands {
  static let all = [create, list, revoke]

  private static let create = Command(
    words: ["token", "create"],
    summary: "Make an API token and show it this one time",
    options: [
      .value("email", "ADDRESS", "the user whose token it is", required: true),
      .value("site", "IDS", "limit the token to sites: one number, or several with commas between"),
      .value(
        "role",
        "ROLE",
        "the highest role that the token has: \(Role.allCases.map(\.rawValue).joined(separator: ", "))"
      ),
      .value(
        "scopes",
        "SCOPES",
        "what it may be used for, with commas between: \(Permission.allCases.map(\.rawValue).joined(separator: ", "))"
      ),
      .value("name", "NAME", "what the token is for"),
      .value("expires", "INSTANT", "when it ends, such as 2027-01-31T00:00:00Z; never when left out"),
      CommandKey.option,
    ]
  ) { invocation in
    let sites = try invocation.option("site").map { text throws(CommandError) in
      try text.split(separator: ",").map { part throws(CommandError) in try invocation.id(String(part), "--site") }
    }
    let scopes = try invocation.option("scopes").map { text throws(CommandError) in try Self.scopes(text) }
    let role = try invocation.option("role").map { text throws(CommandError) in try SiteCommands.role(text, "--role") }
    let expires = try invocation.option("expires").map { text throws(CommandError) in try instant(text) }
    let email = invocation.option("email") ?? ""
    let key = try CommandKey(invocation, ["token", "create"])
    let made = Mutex<Secret?>(nil)
    let (answer, isReplay) = try await invocation.withPool { pool in
      for site in sites ?? [] { _ = try await SiteStore(pool: pool).site(site) }
      let user = try await UserStore(pool: pool).user(email: email)
      return try await key.once(pool) { tx in
        let (id, token) = try await TokenStore(pool: pool).create(
          user: user.id,
          limits: TokenStore.Limits(sites: sites, role: role, scopes: scopes),
          name: invocation.option("name") ?? "made by the command line",
          expiresAt: expires,
          in: tx
        )
        try await tx.execute(AuditEntry.byCommandLine(.tokenCreate, "token:\(id)").insertion)
        made.withLock { $0 = token }
        return [
          "id": .int(id), "siteIds": sites.map { .array($0.map { .int($0) }) } ?? .null,
          "role": role.map { .string($0.rawValue) } ?? .null,
          "scopes": scopes.map { .array($0.map(\.rawValue).sorted().map { .string($0) }) } ?? .null,
          "expiresAt": expires.map { .string(RFC3339.format($0)) } ?? .null,
        ]
      }
    }
    let id = answer.pointer("/id")?.int64Value ?? 0
    guard !isReplay, let text = made.withLock({ $0?.revealText() }) else {
      // The token is not stored, so nobody can show it again. Making a second one would leave the first one valid.
      throw CommandError(
        .failure,
        "Token \(id) was made under this key before and was shown that one time; "
          + "if it is lost, run `rostrum token revoke \(id)` and make another one under a new key"
      )
    }
    var members = key.with(answer).objectValue ?? [:]
    members["token"] = .string(text)
    invocation.show(.object(members)) {
      // The token alone on standard output, so that it can be kept with TOKEN=$(rostrum token create …).
      invocation.terminal.complain("Token \(id) for \(email); it is shown this one time:")
      invocation.terminal.print(text)
    }
    return .success
  }

  private static let list = Command(
    words: ["token", "list"],
    summary: "Show all tokens by their last characters; the tokens themselves are not stored"
  ) { invocation in
    let tokens = try await invocation.withPool { try await TokenStore(pool: $0).list() }
    let now = Date()
    invocation.show(["tokens": .array(tokens.map { json($0, at: now) })]) {
      invocation.terminal.table(
        ["id", "token", "user", "name", "sites", "role", "scopes", "last used", "state"],
        tokens.map { token in
          [
            "\(token.id)", "…\(token.hint)", token.email, token.name,
            token.limits.sites.map { $0.map { "\($0)" }.joined(separator: ",") } ?? "all",
            token.limits.role?.rawValue ?? "",
            token.limits.scopes.map { $0.map(\.rawValue).sorted().joined(separator: ",") } ?? "all",
            token.lastUsedAt.map { RFC3339.format($0) } ?? "never",
            state(token, at: now),
          ]
        }
      )
    }
    return .success
  }

  private static func state(_ token: StoredToken, at now: Date) -> String {
    if token.revokedAt != nil { return "revoked" }
    return token.isValid(at: now) ? "valid" : "expired"
  }

  private static func json(_ token: StoredToken, at now: Date) -> JSONValue {
    func instant(_ date: Date?) -> JSONValue { date.map { .string(RFC3339.format($0)) } ?? .null }
    return [
      "id": .int(token.id), "hint": .string(token.hint), "email": .string(token.email), "name": .string(token.name),
      "siteIds": token.limits.sites.map { .array($0.map { .int($0) }) } ?? .null,
      "role": token.limits.role.map { .string($0.rawValue) } ?? .null,
      "scopes": token.limits.scopes.map { .array($0.map(\.rawValue).sorted().map { .string($0) }) } ?? .null,
      "createdAt": instant(token.createdAt),
      "expiresAt": instant(token.expiresAt), "lastUsedAt": instant(token.lastUsedAt),
      "revokedAt": instant(token.revokedAt), "state": .string(state(token, at: now)),
    ]
  }

  private static let revoke = Command(
    words: ["token", "revoke"],
    summary: "End a token; hosts that know it refuse it within 5 seconds",
    operands: [.init(name: "ID", about: "the number that `token create` and `token list` show")]
  ) { invocation in
    let id = try invocation.id(invocation.operand(0), "ID")
    try await invocation.withPool { pool in
      let audit = AuditEntry.byCommandLine(.tokenRevoke, "token:\(id)").insertion
      try await TokenStore(pool: pool).revoke(id, also: [audit])
    }
    invocation.show(["revoked": .int(id)]) { invocation.terminal.print("Token \(id) is revoked.") }
    return .success
  }

  private static func scopes(_ text: String) throws(CommandError) -> Set<Permission> {
    var scopes: Set<Permission> = []
    for word in text.split(separator: ",") {
      guard let scope = Permission(rawValue: String(word)) else {
        let known = Permission.allCases.map(\.rawValue).joined(separator: ", ")
        throw CommandError(.usage, "--scopes has “\(word)”; allowed are \(known)")
      }
      scopes.insert(scope)
    }
    return scopes
  }

  private static func instant(_ text: String) throws(CommandError) -> Date {
    guard let date = RFC3339.parse(text), date > Date() else {
      throw CommandError(.usage, "--expires is “\(text)”; allowed is a future instant such as 2027-01-31T00:00:00Z")
    }
    return date
  }
}
