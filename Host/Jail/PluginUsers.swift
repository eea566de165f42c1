internal import Glibc
internal import Synchronization

/// Gives each plugin a user of its own, so that plugins have no power over each other. The users need no name.
final class PluginUsers: Sendable {
  private let range: Range<UInt32>
  private let taken = Mutex<[String: UInt32]>([:])

  init(range: Range<UInt32>) {
    self.range = range
  }

  /// The same for the same plugin as long as this object lives, and distinct while there are enough.
  func user(of plugin: String) -> UInt32 {
    taken.withLock { taken in
      if let user = taken[plugin] { return user }
      let used = Set(taken.values)
      let start = Self.hash(plugin) % UInt32(range.count)
      let offsets = (0..<UInt32(range.count)).lazy.map { (start + $0) % UInt32(self.range.count) }
      let user = range.lowerBound + (offsets.first { !used.contains(self.range.lowerBound + $0) } ?? start)
      taken[plugin] = user
      return user
    }
  }

  /// Numbers that no user has, as far as `/proc/self/uid_map` shows which ones exist here; nil when there are none.
  static func range(map: String) -> Range<UInt32>? {
    // Far above people, services and containers; or, in a container with few numbers, below its end.
    let choices: [Range<UInt32>] = [2_000_000_000..<2_000_065_536, 61_184..<65_520]
    let maps = map.split(separator: "\n").compactMap { line -> Range<UInt64>? in
      let fields = line.split(separator: " ").compactMap { UInt64($0) }
      guard fields.count == 3, fields[0] <= UInt64(UInt32.max), fields[2] <= UInt64(UInt32.max) else { return nil }
      return fields[0]..<(fields[0] + fields[2])
    }
    return choices.first { choice in
      maps.contains { $0.contains(UInt64(choice.lowerBound)) && $0.contains(UInt64(choice.upperBound)) }
    }
  }

  /// FNV-1a: the same in each run, so that files in system tools keep their numbers.
  private static func hash(_ text: String) -> UInt32 {
    text.utf8.reduce(2_166_136_261) { ($0 ^ UInt32($1)) &* 16_777_619 }
  }
}
