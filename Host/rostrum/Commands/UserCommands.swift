import Audit
import Cryptography
import Identity
import JSONDocument
import Postgres
import Server

/// `rostrum user …`
enum UserCommands {
  static let all = [create, list, password, link, disable, enable, role]

  private static let create = Command(
    words: ["user", "create"],
    summary: "Make a user",
    options: [
      .value("email", "ADDRESS", "the user's e-mail address", required: true),
      .value("name", "NAME", "how people see the user; the address when left out"),
      .flag("operator", "the user looks after the whole host and may make sites"), CommandKey.option,
    ]
  ) { invocation in
    let email = invocation.option("email") ?? ""
    let name = invocation.option("name") ?? email
    let key = try CommandKey(invocation, ["user", "create"])
    let (user, _) = try await invocation.withPool { pool in
      try await key.once(pool) { tx in
        let user = try await UserStore(pool: pool).create(
          email: email,
          name: name,
          isOperator: invocation.flag("operator"),
          in: tx
        )
        try await tx.execute(AuditEntry.byCommandLine(.userCreate, "user:\(user.id)").insertion)
        return json(user)
      }
    }
    invocation.show(key.with(user)) {
      let id = user.pointer("/id")?.int64Value ?? 0
      invocation.terminal.print(
        "User \(id) (\(email)) was made\(invocation.flag("operator") ? " as an operator" : "")."
      )
      invocation.terminal.print("Next: rostrum user link --email \(email), or rostrum token create --email \(email)")
    }
    return .success
  }

  private static let list = Command(words: ["user", "list"], summary: "Show all users") { invocation in
    let users = try await invocation.withPool { try await UserStore(pool: $0).list() }
    invocation.show(["users": .array(users.map(json))]) {
      invocation.terminal.table(
        ["id", "e-mail", "name", "operator", "disabled"],
        users.map { user in
          [
            "\(user.id)", user.email, user.name, user.isOperator ? "yes" : "",
            user.disabledAt.map { RFC3339.format($0) } ?? "",
          ]
        }
      )
    }
    return .success
  }

  private static let address = Command.Operand(name: "ADDRESS", about: "the user's e-mail address")

  private static let password = Command(
    words: ["user", "password"],
    summary: "Set a user's password to the line that comes on standard input; the user's sessions end",
    operands: [address]
  ) { invocation in
    let email = invocation.operand(0)
    guard let line = readLine(strippingNewline: true), !line.isEmpty else {
      throw CommandError(.usage, "The password comes on standard input, such as: rostrum user password \(email) < FILE")
    }
    try await invocation.withPool { pool in
      let user = try await UserStore(pool: pool).user(email: email)
      let signIn = SignIn(pool: pool, sessions: SessionStore(pool: pool), hasher: PasswordHasher())
      try await signIn.setPassword(
        user: user.id,
        new: line,
        also: [AuditEntry.byCommandLine(.userPassword, "user:\(user.id)").insertion]
      )
    }
    invocation.show(["email": .string(email), "changed": true]) {
      invocation.terminal.print("The password of \(email) is set; all sessions have ended.")
    }
    return .success
  }

  private static let link = Command(
    words: ["user", "link"],
    summary: "Make a link with which a user, or the first user of all, chooses a password once within 72 hours",
    options: [.value("email", "ADDRESS", "the user; left out while there is nobody yet")]
  ) { invocation in
    let configuration = try invocation.configuration()
    let secret = try await invocation.withPool { pool in
      let user = try await invocation.option("email").asyncMap { try await UserStore(pool: pool).user(email: $0) }
      guard let user else {
        guard try await SignInLink.needsFirstUser(pool) else {
          throw CommandError(.usage, "`rostrum user link` needs --email; see `rostrum user list`")
        }
        return try await makeLink(.firstUser, "host", pool)
      }
      return try await makeLink(.password(user: user.id), "user:\(user.id)", pool)
    }
    let url = configuration.signInLink(secret.revealText() ?? "")
    invocation.show(["link": .string(url)]) {
      // The link alone on standard output, as with tokens.
      invocation.terminal.complain("Open this within 72 hours; it works once and is shown this one time:")
      invocation.terminal.print(url)
    }
    return .success
  }

  private static func makeLink(_ purpose: SignInLink.Purpose, _ subject: String, _ pool: Pool) async throws -> Secret {
    try await pool.transaction { tx in
      try await tx.execute(AuditEntry.byCommandLine(.userLink, subject).insertion)
      return try await SignInLink.make(purpose, in: tx)
    }
  }

  private static let disable = Command(
    words: ["user", "disable"],
    summary: "Let a user in no more: sessions end at once, tokens rest within 5 seconds",
    operands: [address]
  ) { try await setDisabled(true, $0) }

  private static let enable = Command(
    words: ["user", "enable"],
    summary: "Let a disabled user in again",
    operands: [address]
  ) { try await setDisabled(false, $0) }

  private static func setDisabled(_ isDisabled: Bool, _ invocation: Invocation) async throws -> ExitCode {
    let email = invocation.operand(0)
    try await invocation.withPool { pool in
      let users = UserStore(pool: pool)
      guard let user = try await users.list().first(where: { $0.email.lowercased() == email.lowercased() }) else {
        throw IdentityError.unknownUser(email)
      }
      try await pool.transaction { tx in
        try await users.setDisabled(isDisabled, user: user.id, in: tx)
        let action: AuditAction = isDisabled ? .userDisable : .userEnable
        try await tx.execute(AuditEntry.byCommandLine(action, "user:\(user.id)").insertion)
      }
    }
    invocation.show(["email": .string(email), "disabled": .bool(isDisabled)]) {
      invocation.terminal.print("\(email) is \(isDisabled ? "disabled" : "enabled").")
    }
    return .success
  }

  /// The same as `rostrum site member`, with the person first.
  private static let role = Command(
    words: ["user", "role"],
    summary: "Give a user a role in a site, or another one",
    operands: [
      address, .init(name: "SITE", about: "the site's number"),
      .init(name: "ROLE", about: Role.allCases.map(\.rawValue).joined(separator: ", ")),
    ]
  ) { invocation in
    try await SiteCommands.setRole(
      invocation,
      site: try invocation.id(invocation.operand(1), "SITE"),
      email: invocation.operand(0),
      role: try SiteCommands.role(invocation.operand(2), "ROLE")
    )
  }

  private static func json(_ user: User) -> JSONValue {
    [
      "id": .int(user.id), "email": .string(user.email), "name": .string(user.name),
      "isOperator": .bool(user.isOperator), "createdAt": .string(RFC3339.format(user.createdAt)),
      "disabledAt": user.disabledAt.map { .string(RFC3339.format($0)) } ?? .null,
    ]
  }
}
