package import JSONDocument

/// One line of a rule's outcome table.
package struct OutcomeClause: Sendable, Equatable {
  package enum Class: String, Sendable, CaseIterable {
    case accepted
    case rejected
    case unknown
  }

  /// What the body must say; a body that cannot be read as JSON, or is cut, makes the outcome unknown.
  package enum Condition: Sendable, Equatable {
    case always
    case equals(pointer: String, JSONValue)
    /// A value that is there and differs; where there is none, the outcome is unknown.
    case notEquals(pointer: String, JSONValue)
    case exists(pointer: String, Bool)
  }

  /// HTTP statuses this clause is about.
  package let statuses: Set<Int>
  package let condition: Condition
  package let outcome: Class
}
