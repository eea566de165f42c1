package import FoundationEssentials
package import JSONDocument
internal import Postgres

/// The keys as they are, for people and programs. Nothing in it is secret.
package struct VaultStatus: Sendable {
  /// A key-encryption key.
  package struct HostKey: Sendable {
    package let number: Int64
    package let status: String
    package let isCompromised: Bool
    package let createdAt: Date
    package let activatedAt: Date?
    /// Data keys under it, and the key of the audit trail.
    package let dataKeys: Int64
    /// Whole days since it seals, or since it waits to.
    package let ageDays: Int64
    /// Whether it seals and is due to be changed.
    package let isOld: Bool
  }

  /// A sealed value that did not open when it was to get another key.
  package struct Quarantined: Sendable {
    /// Table and column.
    package let place: String
    package let row: String
    package let key: Int64
    package let foundAt: Date
  }

  /// A host that was seen within the last day.
  package struct Holder: Sendable {
    package let home: String
    package let keys: [Int64]
    package let seenAt: Date
  }

  package let hostKeys: [HostKey]
  /// How many data keys are in each status.
  package let dataKeys: [String: Int64]
  /// How many keys of sites seal and are due to be changed.
  package let oldDataKeys: Int64
  package let rotations: [KeyRotation]
  /// The newest hundred.
  package let quarantine: [Quarantined]
  package let hosts: [Holder]

  package var json: JSONValue {
    [
      "hostKeys": .array(
        hostKeys.map { key in
          [
            "key": .int(key.number), "status": .string(key.status), "isCompromised": .bool(key.isCompromised),
            "createdAt": .string(RFC3339.format(key.createdAt)), "activatedAt": Self.instant(key.activatedAt),
            "dataKeys": .int(key.dataKeys), "ageDays": .int(key.ageDays), "isOld": .bool(key.isOld),
          ]
        }
      ),
      "dataKeys": .object(
        Dictionary(uniqueKeysWithValues: Self.statuses.map { ($0, .int(dataKeys[$0] ?? 0)) })
      ),
      "oldDataKeys": .int(oldDataKeys), "rotations": .array(rotations.map(\.json)),
      "quarantine": .array(
        quarantine.map { row in
          [
            "place": .string(row.place), "row": .string(row.row), "key": .int(row.key),
            "foundAt": .string(RFC3339.format(row.foundAt)),
          ]
        }
      ),
      "hosts": .array(
        hosts.map { host in
          [
            "home": .string(host.home), "keys": .array(host.keys.map { .int($0) }),
            "seenAt": .string(RFC3339.format(host.seenAt)),
          ]
        }
      ),
    ]
  }

  /// Of a key, in the order in which it passes through them.
  package static let statuses = ["pending", "primary", "decrypt_only", "disabled", "destroyed"]

  fileprivate static func instant(_ date: Date?) -> JSONValue { date.map { .string(RFC3339.format($0)) } ?? .null }
}

extension KeyRotation {
  package var json: JSONValue {
    [
      "id": .int(id), "siteId": site.map { .int($0) } ?? .null, "oldKey": .int(oldKey), "newKey": .int(newKey),
      "isCompromised": .bool(isCompromised), "resealed": .int(resealed), "quarantined": .int(quarantined),
      "createdAt": .string(RFC3339.format(createdAt)), "endedAt": VaultStatus.instant(endedAt),
    ]
  }
}

extension KeyRotations {
  /// A key that seals for longer is due to be changed.
  package static let longestUseDays = 90

  /// Whether a row of `vault_keys` seals for too long, as an expression.
  private static func isOld(_ row: String) -> SQL {
    """
    (\(identifier: row).status = 'primary' AND coalesce(\(identifier: row).activated_at, \(identifier: row).created_at)
      < now() - \(Int64(longestUseDays)) * interval '1 day')
    """
  }

  /// The keys as they are now.
  package func status() async throws -> VaultStatus {
    let rows = try await pool.batch([
      """
      SELECT k.key_number, k.status, k.is_compromised, k.created_at, k.activated_at,
        floor(extract(epoch FROM now() - coalesce(k.activated_at, k.created_at)) / 86400)::bigint AS age_days,
        \(fragment: Self.isOld("k")) AS is_old,
        (SELECT count(*) FROM vault_keys d WHERE d.wrapped_by = k.key_number AND d.status <> 'destroyed') AS data_keys
      FROM vault_keys k WHERE k.purpose = 'kek' ORDER BY k.id
      """,
      "SELECT status, count(*) AS count FROM vault_keys WHERE purpose = 'dek' GROUP BY status",
      "SELECT place, row_key, key_number, found_at FROM vault_quarantine ORDER BY found_at DESC LIMIT 100",
      "SELECT home, keys, seen_at FROM vault_hosts WHERE seen_at > now() - interval '1 day' ORDER BY home LIMIT 100",
      "SELECT count(*) FROM vault_keys k WHERE k.purpose = 'dek' AND \(fragment: Self.isOld("k"))",
    ])
    return VaultStatus(
      hostKeys: try rows[0].map { row in
        VaultStatus.HostKey(
          number: try row.get("key_number"),
          status: try row.get("status"),
          isCompromised: try row.get("is_compromised"),
          createdAt: try row.get("created_at"),
          activatedAt: try row.get("activated_at"),
          dataKeys: try row.get("data_keys"),
          ageDays: try row.get("age_days"),
          isOld: try row.get("is_old")
        )
      },
      dataKeys: Dictionary(
        uniqueKeysWithValues: try rows[1].map { row in
          (try row.get("status", as: String.self), try row.get("count", as: Int64.self))
        }
      ),
      oldDataKeys: try rows[4][0].get(0),
      rotations: try await list(),
      quarantine: try rows[2].map { row in
        VaultStatus.Quarantined(
          place: try row.get("place"),
          row: try row.get("row_key"),
          key: try row.get("key_number"),
          foundAt: try row.get("found_at")
        )
      },
      hosts: try rows[3].map { row in
        VaultStatus.Holder(home: try row.get("home"), keys: try row.get("keys"), seenAt: try row.get("seen_at"))
      }
    )
  }
}
