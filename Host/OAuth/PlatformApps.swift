package import Cryptography
package import PluginManifest
package import Postgres
package import Vault

/// The applications of the host's environment and of the sites. Secrets are sealed for their rows and never shown.
package struct PlatformApps: Sendable {
  /// What an operator set for a name of a manifest's `configuration`; nil for nothing.
  package typealias Settings = @Sendable (_ name: String) async throws(PlatformAppError) -> Secret?

  /// Applications of one platform in one site.
  package static let limit = 50
  /// The name of the application of the host's environment.
  package static let hostsName = "host"

  private let pool: Pool
  private let vault: Vault
  private let settings: Settings

  package init(pool: Pool, vault: Vault, settings: @escaping Settings) {
    self.pool = pool
    self.vault = vault
    self.settings = settings
  }

  // MARK: For requests to platforms

  /// The application that a sign-in of a site uses, with its secret.
  ///
  /// - Parameters:
  ///   - id: the one that was asked for; nil for the site's default one, or else the host's.
  ///   - origin: the server of the account, for platforms that run on many.
  package func choose(
    _ id: Int64?,
    of manifest: PluginManifest,
    _ declaration: OAuthDeclaration,
    site: Int64,
    origin: String?
  ) async throws -> PlatformApp {
    if let id { return try await stored(id, platform: manifest.id, site: site, origin: origin) }
    let rows = try await pool.query(
      """
      SELECT id FROM platform_apps
      WHERE site_id = \(site) AND platform = \(manifest.id) AND is_default AND deleted_at IS NULL
        AND coalesce(origin, '') = coalesce(\(origin), '')
      """
    )
    if let row = rows.first {
      return try await stored(try row.get("id"), platform: manifest.id, site: site, origin: origin)
    }
    return try await host(manifest, declaration)
  }

  /// The application that an account was connected with, with its secret: only that one may renew or end its tokens.
  ///
  /// - Parameter id: `app_id` of the connection; nil for the host's.
  package func connected(
    _ id: Int64?,
    of manifest: PluginManifest,
    _ declaration: OAuthDeclaration,
    site: Int64
  ) async throws -> PlatformApp {
    guard let id else { return try await host(manifest, declaration) }
    return try await stored(id, platform: manifest.id, site: site, origin: nil, takesAnyServer: true)
  }

  /// The application of the host's environment; nil if nothing of it is set.
  ///
  /// - Throws: ``PlatformAppError/notConfigured(_:)`` when only a part is set.
  package func hosts(
    _ manifest: PluginManifest,
    _ declaration: OAuthDeclaration
  ) async throws(PlatformAppError)
    -> PlatformApp?
  {
    let names = declaration.application
    let id = try await settings(names.clientID)?.revealText()
    var secret: Secret?
    if let name = names.clientSecret { secret = try await settings(name) }
    if id == nil, secret == nil { return nil }
    guard let id, !id.isEmpty else { throw .notConfigured("\(names.clientID) is not set in the host's environment") }
    if let name = names.clientSecret, secret == nil {
      throw .notConfigured("\(name) is not set in the host's environment")
    }
    return PlatformApp(
      id: nil,
      platform: manifest.id,
      origin: nil,
      name: Self.hostsName,
      clientID: id,
      clientSecret: secret,
      hasSecret: secret != nil,
      isDefault: false,
      createdAt: nil
    )
  }

  /// Holds the registered callback address of the environment, if it is set there, against the one that is used.
  ///
  /// - Throws: ``PlatformAppError/badSetting(_:)`` when they differ: the platform would refuse each sign-in.
  package func checkCallback(_ declaration: OAuthDeclaration, is address: String) async throws(PlatformAppError) {
    guard let name = declaration.application.callback, let value = try await settings(name)?.revealText() else {
      return
    }
    guard value == address else {
      throw .badSetting(
        "\(name) is “\(value.prefix(300))”, but this host takes callbacks at \(address); register that one with the "
          + "platform and set \(name) to it, or leave \(name) out. ROSTRUM_PUBLIC_URL decides how the address begins"
      )
    }
  }

  private func host(_ manifest: PluginManifest, _ declaration: OAuthDeclaration) async throws -> PlatformApp {
    if let app = try await hosts(manifest, declaration) { return app }
    let names = [declaration.application.clientID, declaration.application.clientSecret].compactMap(\.self)
    throw PlatformAppError.notConfigured(
      "There is no application for \(manifest.name): an operator sets \(names.joined(separator: " and ")), or an "
        + "administrator of the site adds one"
    )
  }

  private func stored(
    _ id: Int64,
    platform: String,
    site: Int64,
    origin: String?,
    takesAnyServer: Bool = false
  ) async throws -> PlatformApp {
    let rows = try await pool.query(
      """
      SELECT \(fragment: Self.columns), sealed_secret, key_id, generation FROM platform_apps
      WHERE id = \(id) AND site_id = \(site) AND platform = \(platform) AND deleted_at IS NULL
        AND (\(takesAnyServer) OR coalesce(origin, '') = coalesce(\(origin), ''))
      """
    )
    guard let row = rows.first else { throw PlatformAppError.notFound(id) }
    var secret: Secret?
    if let bytes = try row.get("sealed_secret", as: [UInt8]?.self) {
      let place = Self.place(id, site: site, platform: platform, generation: try row.get("generation"))
      secret = try await vault.open(stored: bytes, keyID: try row.get("key_id"), for: place)
    }
    return try Self.app(row, secret: secret)
  }

  // MARK: For people

  /// The applications of a site for a platform, without their secrets, the default ones first.
  package func list(platform: String, site: Int64) async throws -> [PlatformApp] {
    try await pool.query(
      """
      SELECT \(fragment: Self.columns), sealed_secret FROM platform_apps
      WHERE site_id = \(site) AND platform = \(platform) AND deleted_at IS NULL ORDER BY is_default DESC, id
      """
    ).map { try Self.app($0, secret: nil) }
  }

  /// Stores an application; the first one of a platform and server is its default.
  ///
  /// - Parameter also: what is stored in the same transaction; gets the application's number.
  package func create(
    _ draft: PlatformAppDraft,
    platform: String,
    site: Int64,
    user: Int64?,
    also: @Sendable (Int64) -> [SQL]
  ) async throws -> Int64 {
    let id: Int64 = try await pool.query("SELECT nextval(pg_get_serial_sequence('platform_apps', 'id'))")[0].get(0)
    let sealed = try await seal(draft.clientSecret, Self.place(id, site: site, platform: platform, generation: 1))
    return try await storing(draft.name) {
      try await pool.transaction { tx in
        try await tx.execute("SELECT FROM sites WHERE id = \(site) FOR UPDATE")
        let count: Int = try await tx.query(
          """
          SELECT count(*) FROM platform_apps
          WHERE site_id = \(site) AND platform = \(platform) AND deleted_at IS NULL
          """
        )[0].get(0)
        guard count < Self.limit else { throw PlatformAppError.tooMany(Self.limit) }
        if draft.isDefault == true { try await Self.dropDefault(platform, draft.origin, site, in: tx) }
        try await tx.execute(
          """
          INSERT INTO platform_apps (id, site_id, platform, origin, name, client_id, sealed_secret, key_id, is_default,
            created_by)
          VALUES (\(id), \(site), \(platform), \(draft.origin), \(draft.name), \(draft.clientID), \(sealed?.bytes),
            \(sealed?.keyID), \(draft.isDefault ?? false) OR NOT EXISTS (
              SELECT FROM platform_apps WHERE site_id = \(site) AND platform = \(platform) AND is_default
                AND coalesce(origin, '') = coalesce(\(draft.origin), '') AND deleted_at IS NULL), \(user))
          """
        )
        for statement in also(id) { try await tx.execute(statement) }
        return id
      }
    }
  }

  /// Changes an application. Another client id would be another application: its tokens could not be renewed any more.
  ///
  /// - Parameters:
  ///   - name: nil leaves it as it is, and so do the others.
  ///   - also: what is stored in the same transaction.
  package func update(
    _ id: Int64,
    name: String?,
    clientSecret: Secret?,
    isDefault: Bool?,
    platform: String,
    site: Int64,
    also: [SQL]
  ) async throws {
    let rows = try await pool.query(
      """
      SELECT generation, origin FROM platform_apps
      WHERE id = \(id) AND site_id = \(site) AND platform = \(platform) AND deleted_at IS NULL
      """
    )
    guard let row = rows.first else { throw PlatformAppError.notFound(id) }
    let generation: Int64 = try row.get("generation")
    let origin: String? = try row.get("origin")
    let sealed = try await seal(
      clientSecret,
      Self.place(id, site: site, platform: platform, generation: generation + 1)
    )
    try await storing(name ?? "") {
      try await pool.transaction { tx in
        if isDefault == true { try await Self.dropDefault(platform, origin, site, in: tx) }
        let count = try await tx.execute(
          """
          UPDATE platform_apps SET name = coalesce(\(name), name), is_default = coalesce(\(isDefault), is_default),
            sealed_secret = CASE WHEN \(sealed != nil) THEN \(sealed?.bytes) ELSE sealed_secret END,
            key_id = CASE WHEN \(sealed != nil) THEN \(sealed?.keyID) ELSE key_id END,
            generation = CASE WHEN \(sealed != nil) THEN \(generation + 1) ELSE generation END, updated_at = now()
          WHERE id = \(id) AND generation = \(generation) AND deleted_at IS NULL
          """
        )
        guard count == 1 else { throw PlatformAppError.notFound(id) }
        for statement in also { try await tx.execute(statement) }
      }
    }
  }

  /// Removes an application and wipes its secret.
  ///
  /// - Throws: ``PlatformAppError/inUse(_:connections:)`` while accounts are connected with it.
  package func remove(_ id: Int64, platform: String, site: Int64, also: [SQL]) async throws {
    try await pool.transaction { tx in
      let rows = try await tx.query(
        """
        SELECT FROM platform_apps
        WHERE id = \(id) AND site_id = \(site) AND platform = \(platform) AND deleted_at IS NULL FOR UPDATE
        """
      )
      if rows.isEmpty { throw PlatformAppError.notFound(id) }
      let connections: Int = try await tx.query(
        "SELECT count(*) FROM platform_connections WHERE app_id = \(id) AND deleted_at IS NULL"
      )[0].get(0)
      guard connections == 0 else { throw PlatformAppError.inUse(id, connections: connections) }
      try await tx.execute(
        """
        UPDATE platform_apps SET deleted_at = now(), is_default = false, generation = generation + 1,
          sealed_secret = NULL, key_id = NULL
        WHERE id = \(id)
        """
      )
      for statement in also { try await tx.execute(statement) }
    }
  }

  private static func dropDefault(_ platform: String, _ origin: String?, _ site: Int64, in tx: Transaction) async throws
  {
    try await tx.execute(
      """
      UPDATE platform_apps SET is_default = false
      WHERE site_id = \(site) AND platform = \(platform) AND is_default AND deleted_at IS NULL
        AND coalesce(origin, '') = coalesce(\(origin), '')
      """
    )
  }

  private func storing<Value: Sendable>(_ name: String, _ body: () async throws -> Value) async throws -> Value {
    do {
      return try await body()
    } catch let error as PostgresError where error.isUniqueViolation && error.constraint == "platform_apps_name" {
      throw PlatformAppError.nameTaken(name)
    }
  }

  // MARK: Rows

  /// The columns of this module with sealed values.
  package static let sealedColumns = [
    SealedColumn(
      table: "platform_apps",
      column: "sealed_secret",
      keyColumn: "key_id",
      row: "t.id::text",
      place: "t.id, t.site_id, t.platform, t.generation",
      context: { row in
        place(
          try row.get("id"),
          site: try row.get("site_id"),
          platform: try row.get("platform"),
          generation: try row.get("generation")
        )
      }
    )
  ]

  private static func place(_ id: Int64, site: Int64, platform: String, generation: Int64) -> SealContext {
    SealContext(
      kind: .clientSecret,
      site: site,
      platform: platform,
      connection: id,
      field: "platform-app",
      generation: generation
    )
  }

  private func seal(_ secret: Secret?, _ place: SealContext) async throws -> SealedBlob? {
    guard let secret else { return nil }
    return try await vault.seal(secret, for: place)
  }

  private static let columns: SQL = "id, platform, origin, name, client_id, is_default, created_at"

  private static func app(_ row: Row, secret: Secret?) throws -> PlatformApp {
    PlatformApp(
      id: try row.get("id"),
      platform: try row.get("platform"),
      origin: try row.get("origin"),
      name: try row.get("name"),
      clientID: try row.get("client_id"),
      clientSecret: secret,
      hasSecret: try row.get("sealed_secret", as: [UInt8]?.self) != nil,
      isDefault: try row.get("is_default"),
      createdAt: try row.get("created_at")
    )
  }
}

/// An application that somebody enters.
package struct PlatformAppDraft: Sendable {
  package let name: String
  package let clientID: String
  package let clientSecret: Secret?
  package let origin: String?
  /// Nil makes it the default one if there is none.
  package let isDefault: Bool?

  package init(name: String, clientID: String, clientSecret: Secret?, origin: String?, isDefault: Bool?) {
    self.name = name
    self.clientID = clientID
    self.clientSecret = clientSecret
    self.origin = origin
    self.isDefault = isDefault
  }
}
