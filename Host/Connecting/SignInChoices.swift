import FoundationEssentials
import JSONDocument
import OAuth

/// The accounts that one sign-in reaches, and what its grant is about. Tokens are not among it; they lie sealed.
struct SignInChoices: Sendable {
  let accounts: [SignInAccount]
  /// Whether the account of that place in the list has a token of its own.
  let hasOwnToken: [Bool]
  let scopes: [String]
  let issuedAt: Date
  let expiresAt: Date?
  let renewAt: Date?

  init(_ choices: [AccountChoice], times: GrantTimes, scopes: [String]) {
    accounts = choices.map {
      SignInAccount(
        id: $0.id,
        name: String($0.name.prefix(200)),
        handle: $0.handle.map { String($0.prefix(200)) },
        isUsable: $0.isUsable
      )
    }
    hasOwnToken = choices.map { $0.token != nil }
    self.scopes = scopes
    (issuedAt, expiresAt, renewAt) = (times.issuedAt, times.expiresAt, times.renewAt)
  }

  init(text: String) throws {
    let value = try JSONValue.parse(Array(text.utf8))
    let list = value["accounts"]?.arrayValue ?? []
    accounts = list.compactMap { entry in
      guard let id = entry["id"]?.stringValue, let name = entry["name"]?.stringValue else { return nil }
      return SignInAccount(
        id: id,
        name: name,
        handle: entry["handle"]?.stringValue,
        isUsable: entry["usable"]?.boolValue ?? false
      )
    }
    hasOwnToken = list.map { $0["own"]?.boolValue ?? false }
    scopes = (value["scopes"]?.arrayValue ?? []).compactMap(\.stringValue)
    func date(_ name: String) -> Date? { value[name]?.stringValue.flatMap { RFC3339.parse($0) } }
    issuedAt = date("issuedAt") ?? Date()
    (expiresAt, renewAt) = (date("expiresAt"), date("renewAt"))
  }

  var text: String {
    func date(_ date: Date?) -> JSONValue { date.map { .string(RFC3339.format($0)) } ?? .null }
    let list = zip(accounts, hasOwnToken).map { account, hasOwn -> JSONValue in
      [
        "id": .string(account.id), "name": .string(account.name),
        "handle": account.handle.map { .string($0) } ?? .null, "usable": .bool(account.isUsable), "own": .bool(hasOwn),
      ]
    }
    return JSONValue.object([
      "accounts": .array(list), "scopes": .array(scopes.map { .string($0) }), "issuedAt": date(issuedAt),
      "expiresAt": date(expiresAt), "renewAt": date(renewAt),
    ]).text()
  }
}
