internal import CPostgres
internal import Glibc

/// Owns one answer of libpq.
///
/// `@unchecked Sendable`: the answer is complete when it is adopted, nobody changes it later, and the accessors of
/// libpq only read.
@safe final class QueryResult: @unchecked Sendable {
  private let handle: OpaquePointer
  let rowCount: Int
  let columnCount: Int

  /// Takes over the answer and clears it in the end.
  init(adopting handle: OpaquePointer) {
    unsafe self.handle = handle
    rowCount = Int(unsafe PQntuples(handle))
    columnCount = Int(unsafe PQnfields(handle))
  }

  deinit {
    unsafe PQclear(handle)
  }

  var rows: [Row] {
    (0..<rowCount).map { Row(result: self, index: $0) }
  }

  /// The number of rows that an INSERT, UPDATE, DELETE or SELECT touched, 0 for other statements.
  var affectedRows: Int {
    guard let text = unsafe PQcmdTuples(handle) else { return 0 }
    return Int(unsafe String(cString: text)) ?? 0
  }

  /// The tag of the command, such as `COMMIT` or `INSERT 0 1`.
  var commandTag: String {
    guard let text = unsafe PQcmdStatus(handle) else { return "" }
    return unsafe String(cString: text)
  }

  func columnName(_ column: Int) -> String {
    guard let name = unsafe PQfname(handle, Int32(column)) else { return "" }
    return unsafe String(cString: name)
  }

  func columnIndex(_ name: String) -> Int? {
    unsafe name.withCString { wanted in
      for column in 0..<columnCount {
        if let name = unsafe PQfname(handle, Int32(column)), unsafe strcmp(name, wanted) == 0 {
          return column
        }
      }
      return nil
    }
  }

  /// The cell at a place that exists.
  func cell(row: Int, column: Int) -> Cell {
    let type = PostgresType(rawValue: unsafe PQftype(handle, Int32(column)))
    guard unsafe PQgetisnull(handle, Int32(row), Int32(column)) == 0,
      let start = unsafe PQgetvalue(handle, Int32(row), Int32(column))
    else { return unsafe Cell(owner: self, type: type, bytes: nil) }
    let count = Int(unsafe PQgetlength(handle, Int32(row), Int32(column)))
    return unsafe Cell(owner: self, type: type, bytes: UnsafeRawBufferPointer(start: start, count: count))
  }
}
