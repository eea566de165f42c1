/// Why the vault does not do what somebody asked for.
package struct VaultRefusal: Error, Equatable, Sendable, CustomStringConvertible {
  package enum Kind: Sendable {
    case notFound
    case conflict
  }

  package let kind: Kind
  /// For programs.
  package let code: String
  /// For people.
  package let message: String

  init(_ kind: Kind, _ code: String, _ message: String) {
    self.kind = kind
    self.code = code
    self.message = message
  }

  /// - Parameter text: What somebody gave for the key's number.
  package static func noSuchKey(_ text: String) -> VaultRefusal {
    VaultRefusal(.notFound, "no_such_key", "There is no key “\(text.prefix(40))”; see `rostrum vault status`")
  }

  package var description: String { message }
}
