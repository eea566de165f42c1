/// Names a receiver by its address, without what might be secret in it.
package struct Endpoint: Equatable {
  /// Host and port.
  package let host: String
  /// Host, port and path.
  package let name: String

  /// Reads an address; nil if it has no host.
  package init?(_ address: String) {
    let parts = address.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
    guard let whole = parts.last else { return nil }
    // Query and fragment may hold a token of the receiver, and so may the part before an @.
    let plain = whole.prefix { $0 != "?" && $0 != "#" }
    let authority = plain.prefix { $0 != "/" }
    let host = authority.split(separator: "@", omittingEmptySubsequences: false).last ?? ""
    guard !host.isEmpty else { return nil }
    var path = plain.dropFirst(authority.count)
    while path.hasSuffix("/") { path.removeLast() }
    self.host = host.lowercased()
    name = self.host + path
  }
}
