import Cryptography
package import FoundationEssentials
package import Postgres
package import Vault

/// Lets the people of other systems in by JSON Web Tokens (RFC 7519), checked as RFC 8725 says.
package final class WebTokens: Sendable {
  /// Gets the key set at an address through the host's own client; nil when it can not be had.
  package typealias Fetch = @Sendable (_ url: String) async -> [UInt8]?

  package let issuers: TokenIssuerStore
  private let cache: WebKeyCache

  /// - Parameter now: the clock of fetches.
  package init(
    pool: Pool,
    vault: Vault,
    fetch: @escaping Fetch,
    now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
  ) {
    issuers = TokenIssuerStore(pool: pool, vault: vault)
    cache = WebKeyCache(fetch: fetch, now: now)
  }

  /// Who holds the token; nil unless an issuer that is known signed it, for this host and this time,
  /// and gives a role.
  package func principal(for text: String, at date: Date = Date()) async throws -> Principal? {
    guard let token = WebToken(text), let name = token.issuer, let subject = token.subject, token.isCurrent(at: date)
    else { return nil }
    var roles: [Int64: Role] = [:]
    var person: (id: Int64, name: String)?
    // One system may serve several sites, each of which knows it by itself.
    for issuer in try await issuers.find(issuer: name) where token.isFor(issuer.audience) {
      guard await isSigned(token, by: issuer), let role = issuer.role(of: token) else { continue }
      guard let user = try await issuers.user(of: issuer.id, subject: subject, name: token.name) else { continue }
      if person == nil { person = user }
      roles[issuer.site] = max(roles[issuer.site] ?? role, role)
    }
    guard let person else { return nil }
    return Principal(
      credential: .webToken(user: person.id),
      userID: person.id,
      name: person.name,
      isOperator: false,
      roles: roles
    )
  }

  /// The algorithm belongs to the kind of the issuer's keys; what the token says only chooses among those.
  private func isSigned(_ token: WebToken, by issuer: TokenIssuer) async -> Bool {
    switch (issuer.keys, token.algorithm) {
    case (.shared(let secret), .hs256):
      guard let secret else { return false }
      return HMACSHA256.isValid(token.signature, for: token.message, key: secret)
    case (.published(let url), .rs256), (.published(let url), .es256), (.published(let url), .edDSA):
      guard let key = await cache.key(token.keyID, token.algorithm, at: url) else { return false }
      return key.isValid(token.signature, for: token.message)
    case (.shared, _), (.published, .hs256): return false
    }
  }
}
