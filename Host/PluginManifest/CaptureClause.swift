/// A value that the host takes out of an answer and keeps sealed; the plugin gets a handle in its place.
package struct CaptureClause: Sendable, Equatable {
  package enum Kind: String, Sendable, CaseIterable {
    /// A token. Only slots use it.
    case secret
    /// An address that works like a secret. Only rules whose origin names the capture send to it.
    case url
  }

  package enum Source: Sendable, Equatable {
    /// JSON pointer into the body, or into each element of the list.
    case pointer(String)
    /// Lower-case name of a response header.
    case header(String)
  }

  package let source: Source
  /// JSON pointer to a list whose elements are captured one by one.
  package let list: String?
  /// The name that origins and slots use.
  package let name: String
  /// Member of each element that tells its capture from the others, such as an id.
  package let label: String?
  package let kind: Kind
  /// For an address: host names that its host must be or end in.
  package let suffixes: [String]

  /// Whether `host`, in lower case, is one of the suffixes or a name below one.
  package static func matches(host: String, suffixes: [String]) -> Bool {
    suffixes.contains { host == $0 || host.hasSuffix("." + $0) }
  }
}
