internal import Postgres

extension PluginRegistry {
  /// Deletes what nobody can need any more; answers with the digests of the bundles that are kept.
  ///
  /// Kept are the bundles of the current and the two generations before it, the last three versions of each plugin that
  /// is installed, those that open deliveries began with, and those that wait for approval.
  package func collect() async throws -> Set<String> {
    try await pool.transaction { tx in
      let number = try await Self.lock(tx)
      let rows = try await tx.query(
        """
        SELECT digest FROM plugin_pins WHERE generation IN (
            SELECT number FROM plugin_generations WHERE number <= \(number) ORDER BY number DESC LIMIT 3)
        UNION SELECT digest FROM (
            SELECT digest, row_number() OVER (PARTITION BY plugin ORDER BY max(generation) DESC) AS place
            FROM plugin_pins WHERE plugin IN (SELECT plugin FROM plugin_pins WHERE generation = \(number))
            GROUP BY plugin, digest) last WHERE place <= 3
        UNION SELECT waiting FROM plugins WHERE waiting IS NOT NULL
        UNION SELECT b.digest FROM plugin_bundles b WHERE (b.plugin, b.version) IN (
            SELECT platform, plugin_version FROM deliveries WHERE ended_as IS NULL AND plugin_version IS NOT NULL)
        UNION SELECT digest FROM plugin_bundles WHERE created_at > now() - interval '10 minutes'
        """
      )
      let kept: [String] = try rows.map { try $0.get(0) }
      // A generation without all its bundles is none.
      try await tx.execute(
        """
        DELETE FROM plugin_generations WHERE number < \(number)
          AND EXISTS (SELECT FROM plugin_pins WHERE generation = number AND NOT digest = ANY(\(kept)))
        """
      )
      try await tx.execute("DELETE FROM plugin_bundles WHERE NOT digest = ANY(\(kept))")
      return Set(kept)
    }
  }
}
