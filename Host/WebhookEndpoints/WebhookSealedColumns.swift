internal import Postgres
package import Vault

extension WebhookEndpoints {
  /// The columns of this module with sealed values.
  package static let sealedColumns = [
    column("sealed_secret", key: "key_id", place: "t.id, t.site_id, t.generation"),
    column(
      "sealed_previous",
      key: "previous_key_id",
      place: "t.id, t.site_id, t.previous_generation AS generation"
    ),
  ]

  private static func column(_ name: String, key: String, place: SQL) -> SealedColumn {
    SealedColumn(
      table: "event_endpoints",
      column: name,
      keyColumn: key,
      row: "t.id::text",
      place: place,
      context: { row in
        .webhookSecret(try row.get("id"), site: try row.get("site_id"), generation: try row.get("generation"))
      }
    )
  }
}
