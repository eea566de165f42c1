import JSONText
import PluginHost
import PluginManifest
import Postgres

/// Composes again what deliveries say, after they got another version of their post.
struct DeliveryContents: Sendable {
  let plugins: PluginHost

  /// Stores the digests of the deliveries as their rows stand in this transaction.
  func store(_ ids: [Int64], site: Int64, in tx: Transaction) async throws {
    guard !ids.isEmpty else { return }
    let rows = try await tx.query(
      """
      SELECT d.id, d.lane_id, d.connection_id, d.platform, v.title, v.excerpt, v.content, v.url, v.tags, v.mentions,
        v.media::text AS media, v.segments::text AS segments, g.options::text AS options, t.default_payload::text AS target_payload
      FROM deliveries d
      JOIN post_versions v ON v.post_id = d.post_id AND v.version = d.post_version
      JOIN distributions g ON g.id = d.distribution_id
      LEFT JOIN publishing_targets t ON t.id = d.target_id
      WHERE d.id = ANY(\(ids))
      """
    )
    try await tx.execute(ContentGuard.store(try rows.map(content), site: site))
  }

  private func content(_ row: Row) throws -> ContentGuard.Content {
    // Without its plugin nobody knows what it would pass on, so the whole record counts.
    let manifest = plugins.manifest(for: try row.get("platform"))
    let isWhole = manifest?.inputs.contains(.content) ?? true
    let source = VariantSource(
      title: try row.get("title"),
      excerpt: try row.get("excerpt"),
      content: isWhole ? try row.get("content", as: String.self) : nil,
      url: try row.get("url"),
      tags: try row.get("tags"),
      mentions: try row.get("mentions"),
      media: try VariantMedia.list(row.get("media", as: String.self)),
      segments: try VariantSegment.list(row.get("segments", as: String.self)),
      distributionOptions: try RawJSON(text: row.get("options")),
      targetPayload: try row.get("target_payload", as: String?.self).map { try RawJSON(text: $0) }
    )
    return ContentGuard.Content(
      delivery: try row.get("id"),
      lane: try row.get("lane_id"),
      digest: try source.variant(for: row.get("connection_id")).contentDigest(isWholeRecord: isWhole)
    )
  }
}
