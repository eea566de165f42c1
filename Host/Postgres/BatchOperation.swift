/// One kind of row work that a ``BatchWriter`` may join with others of its kind into one statement.
package protocol BatchOperation: Sendable {
  associatedtype Output: Sendable

  /// The place of this kind among the statements of a flush; lower ranks run first.
  static var rank: Int { get }

  /// Makes the one statement that does the work of all operations, in their order.
  static func statement(for operations: [Self]) -> SQL

  /// Reads the outcome of each operation, one per operation and in the same order.
  static func outputs(of rows: [Row], for operations: [Self]) throws -> [Output]
}
