import HTTPClient
import JSONDocument
package import JSONText
package import PluginManifest

/// Decides what a complete answer means.
package enum OutcomeRules {
  /// Returns the class by the rule's table, then by the status alone.
  ///
  /// - Parameter body: Nil if the body is not JSON or was cut; a clause that needs it then makes the outcome unknown.
  package static func classify(status: Int, body: RawJSON?, clauses: [OutcomeClause]) -> EffectOutcome.Class {
    for clause in clauses where clause.statuses.contains(status) {
      switch applies(clause.condition, body) {
      case true: return outcome(clause.outcome)
      case false: continue
      case nil: return .unknown
      }
    }
    switch status {
    case 200...299: return .accepted
    case 408, 409, 425: return .unknown
    case 400...499: return .rejected
    default: return .unknown
    }
  }

  /// Returns the platform's id of the new object, at most 512 bytes.
  static func remoteID(_ place: EgressRule.RemoteID?, body: RawJSON?, headers: ResponseHeaders) -> String? {
    let id: String?
    switch place {
    case nil: id = nil
    case .header(let name): id = headers[name]
    case .pointer(let pointer):
      let value = body?.pointer(pointer)
      switch value?.kind {
      // A value of this kind always converts.
      case .string: id = try? value?.string()
      case .number: id = value?.text
      default: id = nil
      }
    }
    guard let id, (1...512).contains(id.utf8.count) else { return nil }
    return id
  }

  private static func outcome(_ name: OutcomeClause.Class) -> EffectOutcome.Class {
    switch name {
    case .accepted: .accepted
    case .rejected: .rejected
    case .unknown: .unknown
    }
  }

  /// Nil if the body does not let us say.
  private static func applies(_ condition: OutcomeClause.Condition, _ body: RawJSON?) -> Bool? {
    switch condition {
    case .always: return true
    case .exists(let pointer, let isExpected):
      guard let body else { return nil }
      return (body.pointer(pointer) != nil) == isExpected
    case .equals(let pointer, let value):
      guard let body else { return nil }
      return body.pointer(pointer).map { equal($0, value) } ?? false
    case .notEquals(let pointer, let value):
      return body?.pointer(pointer).map { !equal($0, value) }
    }
  }

  /// A value of another kind is not equal, so the conversion's error is dropped.
  private static func equal(_ found: RawJSON, _ wanted: JSONValue) -> Bool {
    switch wanted {
    case .null: found.isNull
    case .bool(let value): (try? found.bool()) == value
    case .int(let value): (try? found.int64()) == value
    case .string(let value): (try? found.string()) == value
    case .double, .array, .object: false
    }
  }
}
