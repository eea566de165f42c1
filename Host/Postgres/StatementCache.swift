/// Remembers which statements the server has prepared in one session.
package struct StatementCache {
  package struct Key: Hashable {
    let literals: [String]
    let types: [UInt32]

    package init(literals: [String], types: [UInt32]) {
      self.literals = literals
      self.types = types
    }

    /// Takes the lengths of the texts, which run to kilobytes and hardly ever agree for two statements.
    package func hash(into hasher: inout Hasher) {
      for literal in literals { hasher.combine(literal.utf8.count) }
      hasher.combine(types)
    }
  }

  private struct Entry {
    let name: String
    var lastUse: UInt64
  }

  private let capacity: Int
  private var entries: [Key: Entry] = [:]
  private var clock: UInt64 = 0
  private var nextName: UInt64 = 0

  package init(capacity: Int) {
    self.capacity = capacity
  }

  package var count: Int { entries.count }

  /// Whether the server knows the statement.
  package func contains(_ key: Key) -> Bool { entries[key] != nil }

  /// Returns the name of the prepared statement and marks it as used now.
  package mutating func name(for key: Key) -> String? {
    guard let index = entries.index(forKey: key) else { return nil }
    clock += 1
    entries.values[index].lastUse = clock
    return entries.values[index].name
  }

  /// Returns a name that was never used in this session.
  package mutating func makeName() -> String {
    nextName += 1
    return "rostrum_\(nextName)"
  }

  package mutating func insert(_ key: Key, name: String) {
    clock += 1
    entries[key] = Entry(name: name, lastUse: clock)
  }

  /// Forgets the statements that were not used for longest and returns their names, so that `room` more fit in.
  package mutating func makeRoom(for room: Int, keeping kept: Set<Key>) -> [String] {
    let excess = entries.count + room - capacity
    guard excess > 0 else { return [] }
    let oldest = entries.filter { !kept.contains($0.key) }.sorted { $0.value.lastUse < $1.value.lastUse }.prefix(excess)
    for (key, _) in oldest {
      entries[key] = nil
    }
    return oldest.map { $0.value.name }
  }

  package mutating func removeAll() {
    entries.removeAll()
  }
}
