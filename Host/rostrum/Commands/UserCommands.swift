import Identity
import JSONDocument
import Postgres

/// `rostrum user …`
enum UserCommands {
  static let all = [create, list]

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
        json(
          try await UserStore(pool: pool).create(
            email: email,
            name: name,
            isOperator: invocation.flag("operator"),
            in: tx
          )
        )
      }
    }
    invocation.show(key.with(user)) {
      let id = user.pointer("/id")?.int64Value ?? 0
      invocation.terminal.print(
        "User \(id) (\(email)) was made\(invocation.flag("operator") ? " as an operator" : "")."
      )
      invocation.terminal.print("Next: rostrum token create --email \(email)")
    }
    return .success
  }

  private static let list = Command(words: ["user", "list"], summary: "Show all users") { invocation in
    let users = try await invocation.withPool { try await UserStore(pool: $0).list() }
    invocation.show(["users": .array(users.map(json))]) {
      invocation.terminal.table(
        ["id", "e-mail", "name", "operator"],
        users.map { ["\($0.id)", $0.email, $0.name, $0.isOperator ? "yes" : ""] }
      )
    }
    return .success
  }

  private static func json(_ user: User) -> JSONValue {
    [
      "id": .int(user.id), "email": .string(user.email), "name": .string(user.name),
      "isOperator": .bool(user.isOperator), "createdAt": .string(RFC3339.format(user.createdAt)),
    ]
  }
}
