import Cryptography
import FoundationEssentials
import JSONDocument
import OAuth
import PluginManifest
import Postgres
import Publishing

import enum HTTPClient.Outcome

/// One account with what a sign-in gave for it.
struct GrantedAccount: Sendable {
  /// Nil where the token is of one account.
  let choice: AccountChoice?
  let grant: TokenGrant
  let times: GrantTimes
  let scopes: [String]

  var token: Secret { choice?.token ?? grant.accessToken }

  func credentials(app: PlatformApp) -> CredentialGrant {
    let hasOwn = choice?.token != nil
    return CredentialGrant(
      refreshToken: grant.refreshToken,
      userToken: hasOwn ? grant.accessToken : nil,
      issuedAt: times.issuedAt,
      // The life of the person's token says nothing of the account's own.
      expiresAt: hasOwn ? nil : times.expiresAt,
      renewAt: hasOwn ? nil : times.renewAt,
      scopes: scopes,
      appID: app.id
    )
  }
}

/// Sign-ins that reach several accounts, such as the pages of a person.
extension PlatformSignIns {
  private static let pages = 10

  /// The accounts behind a token, page by page.
  func list(
    _ accounts: OAuthAccounts,
    _ tools: Tools,
    _ grant: TokenGrant
  ) async throws(SignInFailure) -> [AccountChoice] {
    var values = tools.values
    values.token = grant.accessToken
    var found: [AccountChoice] = []
    var mark: String?
    for _ in 0..<Self.pages {
      var extra: [(String, String)] = []
      if let mark, let next = accounts.next { extra = [(next.parameter, mark)] }
      let document = try await page(accounts, values, extra)
      let (choices, next) = accounts.read(document)
      found += choices.filter { choice in !found.contains { $0.id == choice.id } }
      guard let next, next != mark, !choices.isEmpty, found.count < OAuthAccounts.maximum else { break }
      mark = next
    }
    return Array(found.prefix(OAuthAccounts.maximum))
  }

  private func page(
    _ accounts: OAuthAccounts,
    _ values: OAuthValues,
    _ extra: [(String, String)]
  ) async throws(SignInFailure) -> JSONValue {
    let outcome: Outcome
    do {
      outcome = try await endpoint.answer(accounts.request, values, adding: extra, maximumBytes: 1 << 20)
    } catch {
      throw SignInFailure(.adapterFailed, cause: error)
    }
    guard case .response(let response) = outcome, response.status < 500, response.status != 429, !response.truncated
    else { throw SignInFailure(.unavailable) }
    guard response.status == 200 else { throw SignInFailure(.tokenRefused) }
    do {
      return try JSONValue.parse(response.body)
    } catch {
      throw SignInFailure(.unavailable)
    }
  }

  /// The account that is connected again, or the only one.
  func former(_ row: SignInRow, among choices: [AccountChoice]) async throws(SignInFailure) -> AccountChoice {
    guard let id = row.connectionID else { return choices[0] }
    let account: String?
    do {
      account = try await store.pool.query(
        "SELECT account_id FROM platform_connections WHERE id = \(id) AND deleted_at IS NULL"
      ).first?.get(0)
    } catch {
      throw SignInFailure(.adapterFailed, cause: error)
    }
    guard let account else { throw SignInFailure(.connectionGone) }
    guard let choice = choices.first(where: { $0.id == account }) else { throw SignInFailure(.anotherAccount) }
    return choice
  }

  /// Keeps the grant until somebody chose.
  func keep(
    _ row: SignInRow,
    _ choices: [AccountChoice],
    _ grant: TokenGrant,
    _ times: GrantTimes,
    _ scopes: [String]
  ) async throws(SignInFailure) {
    var secrets: [String: Secret] = ["token": grant.accessToken]
    secrets["refresh"] = grant.refreshToken
    for (number, choice) in choices.enumerated() { secrets["account.\(number)"] = choice.token }
    do {
      try await store.keep(
        row,
        secrets: secrets,
        choices: SignInChoices(choices, times: times, scopes: scopes)
      )
    } catch {
      throw SignInFailure(.adapterFailed, cause: error)
    }
  }

  /// Connects accounts of a sign-in that reached several. What it gave is wiped when at least one is connected.
  ///
  /// - Parameter accounts: ids of the choices.
  package func choose(
    _ id: Int64,
    accounts: [String],
    site: Int64,
    user: Int64,
    visitor: SignInVisitor
  ) async throws -> [ChosenAccount] {
    guard let (row, choices) = try await store.choosing(id, site: site, user: user) else {
      throw SignInRefusal.nothingToChoose(id)
    }
    var chosen: [Int] = []
    for account in accounts {
      guard let number = choices.accounts.firstIndex(where: { $0.id == account && $0.isUsable }) else {
        throw SignInRefusal.unknownAccount(account)
      }
      if !chosen.contains(number) { chosen.append(number) }
    }
    let (manifest, oauth) = try supported(row.platform)
    let secrets = try await store.secrets(row)
    guard let token = secrets["token"] else { throw SignInRefusal.nothingToChoose(id) }
    let tools: Tools
    do {
      tools = try await self.tools(row, manifest, oauth)
    } catch {
      return chosen.map { Self.failed(choices.accounts[$0].id, error) }
    }
    let times = GrantTimes(issuedAt: choices.issuedAt, expiresAt: choices.expiresAt, renewAt: choices.renewAt)
    var results: [ChosenAccount] = []
    for number in chosen {
      let account = choices.accounts[number]
      let granted = GrantedAccount(
        choice: AccountChoice(
          id: account.id,
          name: account.name,
          handle: account.handle,
          token: secrets["account.\(number)"],
          isUsable: true
        ),
        grant: TokenGrant(accessToken: token, refreshToken: secrets["refresh"]),
        times: times,
        scopes: choices.scopes
      )
      do throws(SignInFailure) {
        let connection = try await connect(granted, row, tools, visitor: nil)
        results.append(ChosenAccount(id: account.id, connectionID: connection, reason: nil, message: nil))
      } catch {
        results.append(Self.failed(account.id, error))
      }
    }
    let connected = results.compactMap(\.connectionID)
    if !connected.isEmpty {
      try await store.pool.execute(SignInStore.end(row, .connected, connections: connected, visitor: visitor))
    }
    return results
  }

  private static func failed(_ id: String, _ failure: SignInFailure) -> ChosenAccount {
    ChosenAccount(id: id, connectionID: nil, reason: failure.reason, message: failure.message)
  }
}
