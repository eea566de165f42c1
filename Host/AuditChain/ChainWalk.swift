internal import Vault

/// Goes along the chain row by row and says where it breaks, and how.
struct ChainWalk {
  /// The newest row that is in order, and its hash.
  private(set) var seq: Int64
  private(set) var hash: [UInt8]
  private let keys: ChainKeys

  init(after seq: Int64, hash: [UInt8], keys: ChainKeys) {
    self.seq = seq
    self.hash = hash
    self.keys = keys
  }

  /// Takes the next row.
  ///
  /// - Parameter following: Asks for the row behind it, for telling an added row from a changed one.
  /// - Returns: What is wrong at this place; nil when the row is in order.
  mutating func take(
    _ link: ChainLink,
    following: () async throws -> ChainLink?
  ) async throws -> AuditProblem? {
    let expected = seq + 1
    guard link.seq == expected else {
      let many = link.seq - 1 > expected ? "rows \(expected) to \(link.seq - 1) are" : "row \(expected) is"
      return AuditProblem(expected, .missing, "\(many) missing")
    }
    let isGenuine = try await isGenuine(link)
    let belongs = link.belongs(at: expected, after: hash)
    if isGenuine, belongs, link.previous == hash {
      (seq, hash) = (link.seq, link.hash)
      return nil
    }
    if !isGenuine {
      if let next = try await following(), next.belongs(at: expected, after: hash), try await self.isGenuine(next) {
        return AuditProblem(expected, .inserted, "row \(expected) was put in; the row behind it belongs here")
      }
      return AuditProblem(
        expected,
        .changed,
        belongs ? "the code of row \(expected) was changed or forged" : "row \(expected) was changed or forged"
      )
    }
    // The hash is one that a host sealed, so either what it covers was changed or the row stood elsewhere.
    if belongs || link.previous == hash {
      return AuditProblem(expected, .changed, "row \(expected) was changed after it was sealed")
    }
    if link.belongs(at: expected + 1, after: link.previous) {
      return AuditProblem(expected, .missing, "row \(expected) is missing, and the rows behind it were renumbered")
    }
    return AuditProblem(expected, .order, "the row at \(expected) was sealed at another place, or was changed")
  }

  private func isGenuine(_ link: ChainLink) async throws -> Bool {
    do {
      return try await keys.key(link.key).isCode(link.code, of: link.hash)
    } catch VaultError.unreadable {
      // The row names a key that is none.
      return false
    }
  }
}
