/// Why the host does not start, in words that say what to do.
package struct StartError: Error, Sendable, Equatable, CustomStringConvertible {
  package let description: String

  package init(_ description: String) {
    self.description = description
  }
}
