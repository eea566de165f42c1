package import Postgres

/// A column of sealed values, and how to tell the place of each, so that they can get another key.
///
/// Every module that stores sealed values names its columns; a column that nobody names fails a test.
package struct SealedColumn: Sendable {
  package let table: String
  package let column: String
  /// The column beside it with the id of the key.
  package let keyColumn: String
  /// Which row of `t` it is, as an expression of type text, for reports.
  let row: SQL
  /// What `context` reads of `t`.
  let place: SQL
  let context: @Sendable (Row) throws -> SealContext

  /// - Parameters:
  ///   - row: An SQL expression over `t`.
  ///   - place: A list of SQL expressions over `t`.
  ///   - context: The place of the value in a row with the columns of `place`.
  package init(
    table: String,
    column: String,
    keyColumn: String,
    row: SQL,
    place: SQL,
    context: @escaping @Sendable (Row) throws -> SealContext
  ) {
    self.table = table
    self.column = column
    self.keyColumn = keyColumn
    self.row = row
    self.place = place
    self.context = context
  }

  /// Such as `platform_connections.sealed_credentials`.
  package var name: String { "\(table).\(column)" }

  /// The data keys themselves, and the keys of the audit trail, under the key-encryption keys.
  static let dataKeys = SealedColumn(
    table: "vault_keys",
    column: "wrapped",
    keyColumn: "wrapped_by",
    row: "t.id::text",
    place: "t.id::bigint AS id, t.site_id",
    context: { row in
      let id: Int64 = try row.get("id")
      return try row.get("site_id", as: Int64?.self).map { .dataKey(id: id, site: $0) } ?? .auditKey(id: id)
    }
  )

  // MARK: Statements

  /// `FROM` and `WHERE` of what a key still seals. A wiped value is empty and needs no key.
  ///
  /// - Parameter key: An SQL expression.
  func left(under key: SQL) -> SQL {
    """
    FROM \(identifier: table) t
    WHERE t.\(identifier: keyColumn) = \(fragment: key) AND octet_length(t.\(identifier: column)) > 0
      AND NOT EXISTS (
        SELECT FROM vault_quarantine q
        WHERE q.place = \(name) AND q.row_key = \(fragment: row) AND q.key_number = \(fragment: key))
    """
  }

  /// Takes those out of quarantine that were wiped or got another value since.
  var release: SQL {
    """
    DELETE FROM vault_quarantine q WHERE q.place = \(name) AND NOT EXISTS (
      SELECT FROM \(identifier: table) t
      WHERE t.\(identifier: keyColumn) = q.key_number AND octet_length(t.\(identifier: column)) > 0
        AND \(fragment: row) = q.row_key)
    """
  }

  /// Takes rows in hand that nobody else is writing; readers go on.
  func take(under key: Int64, limit: Int) -> SQL {
    """
    SELECT t.ctid::text AS tid, \(fragment: row) AS row_key, t.\(identifier: column) AS sealed, \(fragment: place)
    \(fragment: left(under: "\(key)")) LIMIT \(Int64(limit)) FOR NO KEY UPDATE OF t SKIP LOCKED
    """
  }

  /// Stores the values of rows in hand under another key. Nothing else of the row changes, so nobody reads it anew.
  func store(_ rows: [(tid: String, old: [UInt8], new: [UInt8])], from old: Int64, to new: Int64) -> SQL {
    """
    UPDATE \(identifier: table) t SET \(identifier: column) = n.new, \(identifier: keyColumn) = \(new)
    FROM unnest(\(rows.map(\.tid)), \(rows.map(\.old)), \(rows.map(\.new))) AS n(tid, old, new)
    WHERE t.ctid = ANY(\(rows.map(\.tid))::tid[]) AND t.ctid = n.tid::tid AND t.\(identifier: keyColumn) = \(old)
      AND t.\(identifier: column) = n.old
    """
  }
}
