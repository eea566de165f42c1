import Audit
import Identity
import JSONDocument
import Postgres
import Sites

/// `rostrum site …`
enum SiteCommands {
  static let all = [create, list, member]

  private static let create = Command(
    words: ["site", "create"],
    summary: "Make a site",
    options: [
      .value("name", "NAME", "how people see the site", required: true),
      .value("domain", "DOMAIN", "the site's own domain"),
      .value("time-zone", "ZONE", "IANA name such as Europe/Berlin; UTC when left out"),
      .value("owner", "ADDRESS", "the user who becomes its owner"), CommandKey.option,
    ]
  ) { invocation in
    let key = try CommandKey(invocation, ["site", "create"])
    let (site, _) = try await invocation.withPool { pool in
      let users = UserStore(pool: pool)
      let owner = try await invocation.option("owner").asyncMap { try await users.user(email: $0) }
      return try await key.once(pool) { tx in
        let site = try await SiteStore(pool: pool).create(
          name: invocation.option("name") ?? "",
          domain: invocation.option("domain"),
          timeZone: invocation.option("time-zone") ?? "UTC",
          in: tx
        )
        try await tx.execute(AuditEntry.byCommandLine(.siteCreate, "site:\(site.id)", site: site.id).insertion)
        if let owner {
          try await users.setRole(.owner, of: owner.id, in: site.id, in: tx)
          try await tx.execute(AuditEntry.byCommandLine(.memberRole, "user:\(owner.id)", site: site.id).insertion)
        }
        return json(site)
      }
    }
    invocation.show(key.with(site)) {
      let id = site.pointer("/id")?.int64Value ?? 0
      invocation.terminal.print("Site \(id) (\(site.pointer("/name")?.stringValue ?? "")) was made.")
      if invocation.option("owner") == nil {
        invocation.terminal.print("Next: rostrum site member \(id) ADDRESS owner")
      }
    }
    return .success
  }

  private static let list = Command(words: ["site", "list"], summary: "Show all sites") { invocation in
    let sites = try await invocation.withPool { pool in
      let store = SiteStore(pool: pool)
      var all: [Site] = []
      while true {
        let page = try await store.list(ids: nil, after: all.last?.id ?? 0, limit: 500)
        all += page
        if page.count < 500 { return all }
      }
    }
    invocation.show(["sites": .array(sites.map(json))]) {
      invocation.terminal.table(
        ["id", "name", "domain", "time zone"],
        sites.map { ["\($0.id)", $0.name, $0.domain ?? "", $0.timeZone] }
      )
    }
    return .success
  }

  private static let member = Command(
    words: ["site", "member"],
    summary: "Give a user a role in a site, or another one",
    operands: [
      .init(name: "ID", about: "the site's number"), .init(name: "ADDRESS", about: "the user's e-mail address"),
      .init(name: "ROLE", about: Role.allCases.map(\.rawValue).joined(separator: ", ")),
    ]
  ) { invocation in
    try await setRole(
      invocation,
      site: try invocation.id(invocation.operand(0), "ID"),
      email: invocation.operand(1),
      role: try role(invocation.operand(2), "ROLE")
    )
  }

  static func setRole(_ invocation: Invocation, site: Int64, email: String, role: Role) async throws -> ExitCode {
    try await invocation.withPool { pool in
      _ = try await SiteStore(pool: pool).site(site)
      let users = UserStore(pool: pool)
      let user = try await users.user(email: email)
      try await pool.transaction { tx in
        try await users.setRole(role, of: user.id, in: site, in: tx)
        try await tx.execute(AuditEntry.byCommandLine(.memberRole, "user:\(user.id)", site: site).insertion)
      }
    }
    invocation.show(["siteId": .int(site), "email": .string(email), "role": .string(role.rawValue)]) {
      invocation.terminal.print("\(email) is \(role.rawValue) of site \(site).")
    }
    return .success
  }

  static func role(_ text: String, _ name: String) throws(CommandError) -> Role {
    guard let role = Role(rawValue: text) else {
      let known = Role.allCases.map(\.rawValue).joined(separator: ", ")
      throw CommandError(.usage, "\(name) is “\(text)”; allowed are \(known)")
    }
    return role
  }

  private static func json(_ site: Site) -> JSONValue {
    [
      "id": .int(site.id), "name": .string(site.name), "domain": site.domain.map { .string($0) } ?? .null,
      "timeZone": .string(site.timeZone), "createdAt": .string(RFC3339.format(site.createdAt)),
    ]
  }
}

extension Optional where Wrapped: Sendable {
  /// `map` with an asynchronous body.
  func asyncMap<Value>(_ body: (Wrapped) async throws -> Value) async rethrows -> Value? {
    guard let self else { return nil }
    return try await body(self)
  }
}
