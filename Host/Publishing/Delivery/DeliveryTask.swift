import FoundationEssentials
import JobQueue
import Postgres

/// What a claimed job brings along, so that a delivery needs no read of its own.
struct DeliveryTask: Sendable {
  let id: Int64
  let siteID: Int64
  let run: Int
  let requestKey: UUID
  let platform: String
  let connectionID: Int64
  /// Changes with every new set of credentials.
  let connectionGeneration: Int64
  /// Changes with every other change of the connection.
  let connectionUpdatedAt: Date
  let postID: Int64
  let postVersion: Int
  let title: String
  let excerpt: String
  let url: String?
  let tags: [String]
  let mentions: [String]
  /// `[{"mediaId","alt"}]` as JSON text.
  let media: String
  /// `[{"text","media"}]` as JSON text.
  let segments: String
  let options: String
  let targetPayload: String?
  let createdAt: Date
  let scheduledFor: Date
  /// Whether an earlier attempt left rows in the effect journal.
  let hasEffects: Bool
  /// Whether the breakers of the account and of its platform were not closed when the job was claimed.
  let connectionIsBroken: Bool
  let platformIsBroken: Bool
  /// Ended while the job was waiting (a late outcome, a cancel).
  let endedAs: String?

  /// The key of this run's requests: the same on every try of them, another one after a person asked again, because
  /// the text may be another one by then.
  var runKey: String {
    let key = requestKey.uuidString.lowercased()
    return run == 1 ? key : "\(key)-\(run)"
  }

  /// The columns that a claim of kind `delivery` adds to its own; `d` is one claimed row.
  static let claimColumns: SQL = """
    SELECT v.run, v.request_key, v.platform, v.connection_id, c.generation,
      c.updated_at AS connection_updated_at, v.post_id, v.post_version, p.title, p.excerpt, p.url, p.tags, p.mentions,
      p.media::text AS media, p.segments::text AS segments, g.options::text AS options, t.default_payload::text AS target_payload, v.created_at,
      v.scheduled_for, v.ended_as,
      EXISTS (SELECT FROM delivery_effects e WHERE e.delivery_id = d.job_id) AS has_effects,
      EXISTS (SELECT FROM breakers b WHERE b.platform = v.platform AND b.connection_id = v.connection_id)
        AS connection_is_broken,
      EXISTS (SELECT FROM breakers b WHERE b.platform = v.platform AND b.connection_id = 0) AS platform_is_broken
    FROM deliveries v
    JOIN platform_connections c ON c.id = v.connection_id
    JOIN post_versions p ON p.post_id = v.post_id AND p.version = v.post_version
    JOIN distributions g ON g.id = v.distribution_id
    LEFT JOIN publishing_targets t ON t.id = v.target_id
    WHERE v.id = d.job_id
    """

  init(row: Row) throws {
    id = try row.get("job_id")
    siteID = try row.get("site_id")
    run = Int(try row.get("run", as: Int32.self))
    requestKey = try row.get("request_key")
    platform = try row.get("platform")
    connectionID = try row.get("connection_id")
    connectionGeneration = try row.get("generation")
    connectionUpdatedAt = try row.get("connection_updated_at")
    postID = try row.get("post_id")
    postVersion = Int(try row.get("post_version", as: Int32.self))
    title = try row.get("title")
    excerpt = try row.get("excerpt")
    url = try row.get("url")
    tags = try row.get("tags")
    mentions = try row.get("mentions")
    media = try row.get("media")
    segments = try row.get("segments")
    options = try row.get("options")
    targetPayload = try row.get("target_payload")
    createdAt = try row.get("created_at")
    scheduledFor = try row.get("scheduled_for")
    hasEffects = try row.get("has_effects")
    connectionIsBroken = try row.get("connection_is_broken")
    platformIsBroken = try row.get("platform_is_broken")
    endedAs = try row.get("ended_as")
  }
}
