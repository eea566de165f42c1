import Foundation

/// How many cases a fuzz test tries, and with which numbers.
///
/// The short form runs in `make test`. `ROSTRUM_LONG=1` tries a million cases (`make sanitize` does, under the address
/// sanitizer). The seed is printed; `ROSTRUM_SEED` repeats a run.
package enum FuzzRun {
  package static let isLong = ProcessInfo.processInfo.environment["ROSTRUM_LONG"] == "1"

  /// The number of cases of a test.
  package static func cases(_ short: Int, long: Int = 1_000_000) -> Int { isLong ? long : short }

  /// Random numbers of the seed that was asked for, or of a new one.
  package static func random(_ test: String) -> FuzzRandom {
    let asked = ProcessInfo.processInfo.environment["ROSTRUM_SEED"].flatMap { UInt64($0) }
    let seed = asked ?? UInt64.random(in: 0...UInt64.max)
    // Not `print`, whose buffer would be lost with a process that traps.
    FileHandle.standardError.write(Data("\(test): ROSTRUM_SEED=\(seed)\n".utf8))
    return FuzzRandom(seed: seed)
  }

  /// Ends the test at its first finding: after a million cases nobody reads all of them.
  package static func hold(_ isRight: Bool, _ finding: @autoclosure () -> String) throws {
    guard isRight else { throw FuzzFinding(description: finding()) }
  }
}

/// A case that was not treated as promised.
package struct FuzzFinding: Error, CustomStringConvertible {
  package let description: String

  package init(description: String) {
    self.description = description
  }
}

/// Numbers that a seed repeats.
package struct FuzzRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64

  package init(seed: UInt64) {
    state = seed
  }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }

  /// An index below `count`, which must not be zero.
  package mutating func index(_ count: Int) -> Int { Int.random(in: 0..<count, using: &self) }

  /// One of the elements, of which there must be one.
  package mutating func one<Element>(of elements: [Element]) -> Element { elements[index(elements.count)] }
}
