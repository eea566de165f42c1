/// One thing that the suite looks at.
struct ConformanceCheck: Sendable {
  /// Such as `stream.byte-at-a-time`: group, dot, name.
  let id: String
  /// What an adapter does that passes, as a sentence.
  let title: String
  /// Returns a remark or nothing; throws `CheckFailure` or `CheckSkip`, anything else counts as a failure too.
  let run: @Sendable (CheckContext) async throws -> String?

  init(_ id: String, _ title: String, _ run: @escaping @Sendable (CheckContext) async throws -> String?) {
    self.id = id
    self.title = title
    self.run = run
  }

  /// The part before the dot.
  var group: String { String(id.prefix { $0 != "." }) }
}

/// Why an adapter does not pass.
struct CheckFailure: Error, Sendable, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}

/// Why a check does not apply.
struct CheckSkip: Error, Sendable, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}

/// Throws unless `condition` holds.
func require(_ condition: Bool, _ problem: @autoclosure () -> String) throws {
  if !condition { throw CheckFailure(problem()) }
}

/// Throws if there is no value.
func require<Value>(_ value: Value?, _ problem: @autoclosure () -> String) throws -> Value {
  guard let value else { throw CheckFailure(problem()) }
  return value
}
