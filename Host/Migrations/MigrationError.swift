/// Why migrations were not applied. Nothing after the named file was touched.
package struct MigrationError: Error, Hashable, Sendable, CustomStringConvertible {
  package enum Code: Hashable, Sendable {
    /// The directory or a file in it cannot be read.
    case unreadable
    /// A file name is not `NNNN_name.sql`, or two files have the same number.
    case badName
    /// The numbers do not go from 0001 on without a gap.
    case gap
    /// A file differs from what was applied.
    case changed
    /// The database has a migration for which there is no file: the program is older than the database.
    case unknownMigration
    /// A file ended the transaction it runs in.
    case endedTransaction
    /// A statement of a file failed; the file was rolled back.
    case failed
  }

  package let code: Code
  package let description: String

  init(_ code: Code, _ description: String) {
    self.code = code
    self.description = description
  }
}
