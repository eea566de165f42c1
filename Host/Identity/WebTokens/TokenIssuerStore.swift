import Cryptography
import FoundationEssentials
import JSONDocument
import Logging
package import Postgres
package import Vault

/// The issuers of all sites.
package struct TokenIssuerStore: Sendable {
  private let pool: Pool
  private let vault: Vault

  /// Issuers of one site.
  package static let limit = 20

  package init(pool: Pool, vault: Vault) {
    self.pool = pool
    self.vault = vault
  }

  /// Stores an issuer; its shared secret is sealed for its row.
  ///
  /// - Parameter also: what is stored in the same transaction; gets the issuer's number.
  /// - Throws: ``IdentityError/invalidIssuer(_:)``.
  package func create(
    _ issuer: TokenIssuer,
    also: @Sendable (Int64) -> [SQL] = { _ in [] }
  ) async throws -> Int64 {
    try Self.check(issuer)
    let id: Int64 = try await pool.query("SELECT nextval(pg_get_serial_sequence('token_issuers', 'id'))")[0].get(0)
    let (url, sealed) = try await sealed(issuer, id)
    let roles = JSONValue.object(issuer.roles.mapValues { .string($0.rawValue) }).text()
    return try await pool.transaction { tx in
      try await tx.execute("SELECT FROM sites WHERE id = \(issuer.site) FOR UPDATE")
      let count: Int = try await tx.query("SELECT count(*) FROM token_issuers WHERE site_id = \(issuer.site)")[0].get(0)
      guard count < Self.limit else {
        throw IdentityError.invalidIssuer("A site has at most \(Self.limit) issuers")
      }
      try await tx.execute(
        """
        INSERT INTO token_issuers (id, site_id, name, issuer, audience, jwks_url, sealed_secret, key_id, role_claim,
          roles, default_role)
        OVERRIDING SYSTEM VALUE VALUES (\(id), \(issuer.site), \(issuer.name), \(issuer.issuer), \(issuer.audience),
          \(url), \(sealed?.bytes), \(sealed?.keyID), \(issuer.roleClaim), \(roles)::text::jsonb,
          \(issuer.defaultRole?.rawValue))
        """
      )
      for statement in also(id) { try await tx.execute(statement) }
      return id
    }
  }

  /// The issuers of a site, or of all, without their secrets.
  package func list(site: Int64?) async throws -> [TokenIssuer] { try await Self.list(pool, site: site) }

  /// The same without a vault, which only secrets need.
  package static func list(_ pool: Pool, site: Int64?) async throws -> [TokenIssuer] {
    try await pool.query(
      """
      SELECT \(fragment: columns) FROM token_issuers WHERE \(site == nil) OR site_id = \(site ?? 0) ORDER BY id
      """
    ).map { try issuer($0, secret: nil) }
  }

  /// Removes an issuer; its people stay known, but nobody comes in with its tokens.
  ///
  /// - Parameter site: whose it must be; nil: anybody's.
  /// - Throws: ``IdentityError/unknownIssuer(_:)``.
  package func remove(_ id: Int64, site: Int64?, also: [SQL] = []) async throws {
    try await Self.remove(pool, id, site: site, also: also)
  }

  /// The same without a vault.
  package static func remove(_ pool: Pool, _ id: Int64, site: Int64?, also: [SQL] = []) async throws {
    try await pool.transaction { tx in
      let count = try await tx.execute(
        "DELETE FROM token_issuers WHERE id = \(id) AND (\(site == nil) OR site_id = \(site ?? 0))"
      )
      guard count == 1 else { throw IdentityError.unknownIssuer(id) }
      for statement in also { try await tx.execute(statement) }
    }
  }

  /// The issuers whose tokens say that they are theirs, with their secrets.
  func find(issuer name: String) async throws -> [TokenIssuer] {
    var found: [TokenIssuer] = []
    for row in try await pool.query(
      """
      SELECT \(fragment: Self.columns), sealed_secret, key_id FROM token_issuers
      JOIN sites ON sites.id = site_id AND sites.archived_at IS NULL
      WHERE issuer = \(name) ORDER BY token_issuers.id
      """
    ) {
      var secret: Secret?
      if let bytes = try row.get("sealed_secret", as: [UInt8]?.self) {
        secret = try await open(bytes, row)
      }
      found.append(try Self.issuer(row, secret: secret))
    }
    return found
  }

  /// The user that stands for a person of an issuer, made at the first time; nil when it is disabled.
  func user(of issuer: Int64, subject: String, name: String?) async throws -> (id: Int64, name: String)? {
    if let known = try await known(issuer, subject) { return known.isDisabled ? nil : (known.id, known.name) }
    // No mail ever goes to such an address; it can not be one of somebody else's.
    let email = "\(Hex.encode(SHA256.digest(subject)).prefix(24))@issuer-\(issuer).invalid"
    let shown = name ?? String(subject.prefix(200))
    do {
      let id = try await pool.transaction { tx in
        let user = try await UserStore(pool: pool).create(email: email, name: shown, isOperator: false, in: tx)
        try await tx.execute(
          "INSERT INTO user_identities (issuer_id, subject, user_id) VALUES (\(issuer), \(subject), \(user.id))"
        )
        return user.id
      }
      return (id, shown)
    } catch IdentityError.emailTaken {
      // Another request of the same person was first.
      return try await known(issuer, subject).flatMap { $0.isDisabled ? nil : ($0.id, $0.name) }
    }
  }

  private func known(_ issuer: Int64, _ subject: String) async throws -> (id: Int64, name: String, isDisabled: Bool)? {
    let rows = try await pool.query(
      """
      SELECT u.id, u.name, u.deactivated_at IS NOT NULL AS is_disabled
      FROM user_identities i JOIN users u ON u.id = i.user_id
      WHERE i.issuer_id = \(issuer) AND i.subject = \(subject)
      """
    )
    return try rows.first.map { (try $0.get("id"), try $0.get("name"), try $0.get("is_disabled")) }
  }

  // MARK: Secrets

  /// The columns of this module with sealed values.
  package static let sealedColumns = [
    SealedColumn(
      table: "token_issuers",
      column: "sealed_secret",
      keyColumn: "key_id",
      row: "t.id::text",
      place: "t.id, t.site_id",
      context: { row in context(try row.get("id"), site: try row.get("site_id")) }
    )
  ]

  private func sealed(_ issuer: TokenIssuer, _ id: Int64) async throws -> (url: String?, secret: SealedBlob?) {
    switch issuer.keys {
    case .published(let url): return (url, nil)
    case .shared(let secret):
      guard let secret else { throw IdentityError.invalidIssuer("A shared secret is missing") }
      return (nil, try await vault.seal(secret, for: Self.context(id, site: issuer.site)))
    }
  }

  /// The secret of a row; nil when it does not open. Such an issuer lets nobody in, and stands in no other one's way:
  /// every site chooses the names of its issuers itself.
  private func open(_ bytes: [UInt8], _ row: Row) async throws -> Secret? {
    let (id, site): (Int64, Int64) = (try row.get("id"), try row.get("site_id"))
    do {
      return try await vault.open(stored: bytes, keyID: try row.get("key_id"), for: Self.context(id, site: site))
    } catch VaultError.unreadable {
      Logger.current.warning("The secret of a token issuer does not open", ["issuer": .int(id), "site": .int(site)])
      return nil
    }
  }

  private static func context(_ id: Int64, site: Int64) -> SealContext {
    SealContext(
      kind: .clientSecret,
      site: site,
      platform: "",
      connection: id,
      field: "token-issuer",
      generation: 1
    )
  }

  // MARK: Rows

  private static let columns: SQL = """
    token_issuers.id, token_issuers.site_id, token_issuers.name, token_issuers.issuer, token_issuers.audience,
      token_issuers.jwks_url, token_issuers.role_claim, token_issuers.roles::text AS roles, token_issuers.default_role,
      token_issuers.created_at
    """

  private static func issuer(_ row: Row, secret: Secret?) throws -> TokenIssuer {
    let roles = try JSONValue.parse(Array(row.get("roles", as: String.self).utf8)).objectValue ?? [:]
    return TokenIssuer(
      id: try row.get("id"),
      site: try row.get("site_id"),
      name: try row.get("name"),
      issuer: try row.get("issuer"),
      audience: try row.get("audience"),
      keys: try row.get("jwks_url", as: String?.self).map { .published(url: $0) } ?? .shared(secret),
      roleClaim: try row.get("role_claim"),
      roles: roles.compactMapValues { $0.stringValue.flatMap(Role.init) },
      defaultRole: try row.get("default_role", as: String?.self).flatMap(Role.init),
      createdAt: try row.get("created_at")
    )
  }

  private static func check(_ issuer: TokenIssuer) throws(IdentityError) {
    guard (issuer.roles.values.max() ?? .viewer) <= TokenIssuer.highestRole,
      (issuer.defaultRole ?? .viewer) <= TokenIssuer.highestRole
    else {
      throw .invalidIssuer("An issuer gives at most the role \(TokenIssuer.highestRole.rawValue)")
    }
    guard !issuer.roles.isEmpty || issuer.defaultRole != nil else {
      throw .invalidIssuer("Neither roles nor a default role are given, so nobody could come in")
    }
    guard !issuer.issuer.isEmpty, !issuer.audience.isEmpty, !issuer.roleClaim.isEmpty else {
      throw .invalidIssuer("Issuer, audience and the role's claim must not be empty")
    }
    if case .shared(let secret) = issuer.keys, !TokenIssuer.secretBytes.contains(secret?.count ?? 0) {
      throw .invalidIssuer(
        "The shared secret has \(secret?.count ?? 0) bytes; allowed are \(TokenIssuer.secretBytes.lowerBound) to "
          + "\(TokenIssuer.secretBytes.upperBound), such as `openssl rand -hex 32` gives"
      )
    }
  }
}
