import Egress
import Postgres
package import Vault

/// The columns of this module with sealed values.
package enum SealedColumns {
  package static let all = [credentials, captures, revocations]

  private static let credentials = SealedColumn(
    table: "platform_connections",
    column: "sealed_credentials",
    keyColumn: "key_id",
    row: "t.id::text",
    place: "t.id, t.site_id, t.platform, t.generation",
    context: { row in
      Vault.credentials(
        site: try row.get("site_id"),
        platform: try row.get("platform"),
        connection: try row.get("id"),
        generation: try row.get("generation")
      )
    }
  )

  /// Credentials that their platform is to end, sealed as they stood with the connection.
  private static let revocations = SealedColumn(
    table: "token_revocations",
    column: "sealed",
    keyColumn: "key_id",
    row: "t.id::text",
    place: "t.connection_id, t.site_id, t.platform, t.generation",
    context: { row in
      Vault.credentials(
        site: try row.get("site_id"),
        platform: try row.get("platform"),
        connection: try row.get("connection_id"),
        generation: try row.get("generation")
      )
    }
  )

  private static let captures = SealedColumn(
    table: "delivery_captures",
    column: "sealed",
    keyColumn: "key_id",
    row: "concat_ws('/', t.delivery_id, t.run, t.step, t.name)",
    place: "t.delivery_id, t.run, t.step, t.name, t.try, t.site_id, t.kind",
    context: { row in
      let place = CapturePlace(
        site: try row.get("site_id"),
        delivery: try row.get("delivery_id"),
        run: Int(try row.get("run", as: Int32.self)),
        attempt: Int(try row.get("try", as: Int32.self))
      )
      let handle = CaptureHandle(step: try row.get("step"), name: try row.get("name"))
      return place.context(handle, kind: try row.get("kind"))
    }
  )
}
