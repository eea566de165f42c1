internal import CPostgres

/// One row of an answer, read in place; it keeps the whole answer in memory.
package struct Row: Sendable {
  let result: QueryResult
  let index: Int

  package var columnCount: Int { result.columnCount }

  /// Reads the column at the place, from 0.
  package subscript<Value: PostgresDecodable>(_ column: Int) -> Value {
    get throws(PostgresError) { try get(column) }
  }

  /// Reads the column with the name.
  package subscript<Value: PostgresDecodable>(_ name: String) -> Value {
    get throws(PostgresError) { try get(name) }
  }

  /// Reads the column at the place, from 0; throws when it is NULL or of another type.
  package func get<Value: PostgresDecodable>(
    _ column: Int,
    as type: Value.Type = Value.self
  ) throws(PostgresError) -> Value {
    guard column >= 0, column < result.columnCount else {
      throw PostgresError(.decoding, "There is no column at place \(column) of \(result.columnCount)")
    }
    let cell = result.cell(row: index, column: column)
    guard let value = Value.decode(cell) else {
      let name = result.columnName(column)
      if cell.isNull {
        throw PostgresError(.decoding, "Column \(name) is NULL, wanted \(Value.self)")
      }
      throw PostgresError(.decoding, "Column \(name) is \(cell.type), which does not fit into \(Value.self)")
    }
    return value
  }

  /// Reads the column with the name; throws when it is missing, NULL or of another type.
  package func get<Value: PostgresDecodable>(
    _ name: String,
    as type: Value.Type = Value.self
  ) throws(PostgresError) -> Value {
    guard let column = result.columnIndex(name) else {
      throw PostgresError(.decoding, "There is no column \(name) in the answer")
    }
    return try get(column, as: type)
  }
}
