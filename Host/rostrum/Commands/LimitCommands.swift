import Audit
import FoundationEssentials
import JSONDocument
import PluginManifest
import Postgres
import Publishing

/// `rostrum limits …`
enum LimitCommands {
  static let all = [show, set, clear]

  private static let scopes = LimitScope.allCases.map(\.rawValue).joined(separator: ", ")
  private static let account = Command.Option.value("account", "ID", "only this connected account, by its number")
  private static let scope = Command.Option.value("scope", "SCOPE", "\(scopes); perAccount when left out")

  private static let show = Command(
    words: ["limits", "show"],
    summary: "Show what is left of the limits of a connected account, and what keeps it still",
    operands: [.init(name: "ID", about: "the connection's number")]
  ) { invocation in
    let id = try invocation.id(invocation.operand(0), "ID")
    let (quotas, holds) = try await invocation.withPool { pool in
      try await pool.transaction(scope: .owner) { tx in
        let store = LimitStore()
        return (try await store.quotas(connection: id, in: tx), try await store.holds(connection: id, in: tx))
      }
    }
    let answer: JSONValue = ["limits": .array(quotas.map(json)), "holds": .array(holds.map(json))]
    invocation.show(answer) {
      invocation.terminal.table(
        ["scope", "rule", "source", "limit", "left", "all again at"],
        quotas.map { quota in
          [
            quota.scope.rawValue, quota.rule ?? "", quota.source.rawValue, quota.limit.map { "\($0)" } ?? "",
            quota.remaining.map { "\($0)" } ?? "", quota.resetsAt.map { RFC3339.format($0) } ?? "",
          ]
        }
      )
      for hold in holds {
        invocation.terminal.print(
          "Stands still until \(RFC3339.format(hold.until)): \(hold.reason ?? "blocked") (\(hold.extent.rawValue))"
        )
      }
    }
    return .success
  }

  private static let set = Command(
    words: ["limits", "set"],
    summary: "Set another limit than the plugin does; running hosts follow within seconds",
    operands: [
      .init(name: "PLATFORM", about: "the plugin's id"),
      .init(name: "LIMIT", about: "posts and seconds, such as 50/900, or off"),
    ],
    options: [account, scope]
  ) { invocation in
    let platform = invocation.operand(0)
    let limits: LimitOverride
    do {
      limits = try AccountLimits.override(invocation.operand(1))
    } catch {
      throw CommandError(.usage, "\(error)")
    }
    let (scope, account) = try place(invocation)
    try await invocation.withPool { pool in
      try await LimitService.store(
        limits,
        scope: scope,
        platform: platform,
        connection: account,
        also: [audit(scope, platform, account)],
        in: pool
      )
    }
    invocation.show(["platform": .string(platform), "scope": .string(scope.rawValue)]) {
      invocation.terminal.print("The limit \(scope.rawValue) of \(platform) is \(invocation.operand(1)).")
    }
    return .success
  }

  private static let clear = Command(
    words: ["limits", "clear"],
    summary: "Go back to the plugin's limit",
    operands: [.init(name: "PLATFORM", about: "the plugin's id")],
    options: [account, scope]
  ) { invocation in
    let platform = invocation.operand(0)
    let (scope, account) = try place(invocation)
    try await invocation.withPool { pool in
      try await LimitService.store(
        nil,
        scope: scope,
        platform: platform,
        connection: account,
        also: [audit(scope, platform, account)],
        in: pool
      )
    }
    invocation.show(["platform": .string(platform), "scope": .string(scope.rawValue)]) {
      invocation.terminal.print("The limit \(scope.rawValue) of \(platform) is the plugin's again.")
    }
    return .success
  }

  private static func audit(_ scope: LimitScope, _ platform: String, _ account: Int64?) -> SQL {
    let subject = account.map { "connection:\($0)" } ?? "platform:\(platform)"
    var entry = AuditEntry.byCommandLine(.limitsChange, subject)
    entry.details = "jsonb_build_object('by', 'command line', 'scope', \(scope.rawValue)::text)"
    return entry.insertion
  }

  private static func place(_ invocation: Invocation) throws(CommandError) -> (LimitScope, Int64?) {
    let account = try invocation.option("account").map { text throws(CommandError) in
      try invocation.id(text, "--account")
    }
    let name = invocation.option("scope") ?? LimitScope.perAccount.rawValue
    guard let scope = LimitScope(rawValue: name) else {
      throw CommandError(.usage, "--scope is “\(name)”; allowed are \(scopes)")
    }
    guard account == nil || scope == .perAccount else {
      throw CommandError(.usage, "--scope of one account can only be perAccount")
    }
    return (scope, account)
  }

  private static func json(_ quota: Quota) -> JSONValue {
    [
      "scope": .string(quota.scope.rawValue), "rule": quota.rule.map { .string($0) } ?? .null,
      "source": .string(quota.source.rawValue), "limit": quota.limit.map { .int($0) } ?? .null,
      "remaining": quota.remaining.map { .int($0) } ?? .null,
      "resetsAt": quota.resetsAt.map { .string(RFC3339.format($0)) } ?? .null,
    ]
  }

  private static func json(_ hold: LaneHold) -> JSONValue {
    [
      "extent": .string(hold.extent.rawValue), "until": .string(RFC3339.format(hold.until)),
      "reason": hold.reason.map { .string($0) } ?? .null,
    ]
  }
}
