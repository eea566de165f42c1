import Postgres
import Server
import TestSupport
import Testing
import Vault

/// Every sealed value is known to whoever changes keys.
@Suite(.database) struct SealedColumnTests {
  /// Bytes that are not sealed: hashes, check values, programs, and what is signed but open.
  private static let plain: Set<String> = [
    "api_tokens.token_hash", "delivery_inputs.seed", "idempotency_keys.request_hash", "media.sha256",
    "vault_keys.kcv", "schema_migrations.checksum", "plugin_bundle_parts.content", "plugin_bundles.manifest",
    "plugin_bundles.signature",
    "delivery_contents.digest", "sessions.token_hash", "sessions.previous_hash", "sign_in_links.token_hash",
    "oauth_states.state_hash", "oauth_states.ticket_hash", "oauth_states.browser_hash",
    "audit_logs.prev_hash", "audit_logs.hash", "audit_logs.mac", "audit_state.hash", "audit_state.signature",
    "audit_heads.hash", "audit_heads.signature",
  ]
  /// Under the keys of the hosts; changed with them.
  private static let wrapped: Set<String> = ["vault_keys.wrapped"]

  private func bytes(_ pool: Pool) async throws -> Set<String> {
    let rows = try await pool.query(
      """
      SELECT table_name || '.' || column_name FROM information_schema.columns
      WHERE table_schema = current_schema() AND (data_type = 'bytea' OR udt_name = '_bytea')
      """
    )
    return Set(try rows.map { try $0.get(0, as: String.self) })
  }

  @Test func everyColumnOfBytesIsSealedAndKnownOrPlain() async throws {
    try await TestDatabase.current.withPool { pool in
      let sealed = Set(HostVault.sealedColumns.map(\.name))
      #expect(sealed.count == HostVault.sealedColumns.count)
      #expect(sealed.isDisjoint(with: Self.plain))
      let known = sealed.union(Self.plain).union(Self.wrapped)
      let found = try await bytes(pool)
      let (unknown, gone) = (found.subtracting(known), known.subtracting(found))
      #expect(unknown == [], "name the column where its module names its others")
      #expect(gone == [])

      try await pool.execute("ALTER TABLE sites ADD COLUMN forgotten bytea")
      let forgotten = try await bytes(pool).subtracting(known)
      #expect(forgotten == ["sites.forgotten"])
    }
  }

  @Test func everySealedColumnHasItsKeyBesideIt() async throws {
    try await TestDatabase.current.withPool { pool in
      for column in HostVault.sealedColumns {
        let rows = try await pool.query(
          """
          SELECT EXISTS (SELECT FROM information_schema.columns WHERE table_schema = current_schema()
              AND table_name = \(column.table) AND column_name = \(column.keyColumn) AND data_type = 'bigint'),
            EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
              WHERE i.indrelid = \(column.table)::regclass AND a.attname = \(column.keyColumn))
          """
        )
        #expect(try rows[0].get(0, as: Bool.self), "\(column.name)")
        #expect(try rows[0].get(1, as: Bool.self), "\(column.name) lacks an index on its keys")
      }
    }
  }
}
