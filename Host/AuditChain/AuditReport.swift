package import FoundationEssentials
package import JSONDocument

/// Something in the audit trail that is not as it was sealed.
package struct AuditProblem: Sendable, Equatable {
  package enum Kind: String, Sendable, CaseIterable {
    /// A row says something else than when it was sealed, or its seal was changed.
    case changed
    case missing
    case inserted
    case order
    /// The newest rows are gone.
    case truncated
    /// A signed head does not fit the chain, or its signature is wrong.
    case head
    /// Rows wait for so long that no host seals.
    case unsealed
  }

  /// The place in the chain.
  package let seq: Int64
  package let kind: Kind
  package let text: String

  init(_ seq: Int64, _ kind: Kind, _ text: String) {
    self.seq = seq
    self.kind = kind
    self.text = text
  }
}

/// What a look at the whole trail found.
package struct AuditReport: Sendable {
  package let chain: UUID
  /// Sealed rows that were looked at and are in order.
  package internal(set) var rows: Int64 = 0
  /// The newest row that is in order.
  package internal(set) var last: Int64 = 0
  /// Where the chain begins when older rows were removed because of their age.
  package internal(set) var checkpoint: Int64?
  /// Signed heads in the table.
  package internal(set) var heads = 0
  /// Signed heads that are kept apart.
  package internal(set) var anchored = 0
  /// Rows that wait to be sealed.
  package internal(set) var unsealed: Int64 = 0
  /// By place; the first one is where the trail stops to be believed.
  package internal(set) var problems: [AuditProblem] = []

  package var isIntact: Bool { problems.isEmpty }

  package var json: JSONValue {
    [
      "intact": .bool(isIntact), "chain": .string(chain.uuidString.lowercased()), "rows": .int(rows),
      "last": .int(last), "checkpoint": checkpoint.map { .int($0) } ?? .null, "heads": .int(Int64(heads)),
      "anchored": .int(Int64(anchored)), "unsealed": .int(unsealed),
      "firstBroken": problems.first.map { .int($0.seq) } ?? .null,
      "problems": .array(
        problems.map { ["seq": .int($0.seq), "kind": .string($0.kind.rawValue), "message": .string($0.text)] }
      ),
    ]
  }
}
