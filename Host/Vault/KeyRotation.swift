package import FoundationEssentials
internal import Postgres

/// A move of everything that is sealed with one key to another.
package struct KeyRotation: Sendable, Equatable {
  package let id: Int64
  /// The site whose data key changes; nil: the key-encryption key, and with it the wrapping of every data key.
  package let site: Int64?
  package let oldKey: Int64
  package let newKey: Int64
  /// Whether the old key counts as known to others.
  package let isCompromised: Bool
  /// Values that got the new key.
  package let resealed: Int64
  /// Values that did not open and were left as they are.
  package let quarantined: Int64
  package let createdAt: Date
  package let endedAt: Date?

  static let columns: SQL = """
    r.id, r.site_id, r.old_key, r.new_key, r.is_compromised, r.resealed, r.created_at, r.ended_at,
    (SELECT count(*) FROM vault_quarantine q WHERE q.rotation_id = r.id) AS quarantined
    """

  init(_ row: Row) throws(PostgresError) {
    id = try row.get("id")
    site = try row.get("site_id")
    oldKey = try row.get("old_key")
    newKey = try row.get("new_key")
    isCompromised = try row.get("is_compromised")
    resealed = try row.get("resealed")
    quarantined = try row.get("quarantined")
    createdAt = try row.get("created_at")
    endedAt = try row.get("ended_at")
  }
}
