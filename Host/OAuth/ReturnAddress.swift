import Egress

/// Where a browser may be sent back to after a sign-in.
///
/// The address is checked when the sign-in starts and kept with it; what a callback brings never decides where it goes.
package struct ReturnAddress: Sendable, Equatable {
  package let text: String

  /// Most bytes of an address.
  package static let maximumBytes = 1_000

  /// Names that the host adds to the address, which must not be there already.
  static let ownParameters: Set<String> = ["success", "connectionId", "error", "reason", "choose", "signIn"]

  /// Reads an address that must be below the host's own address or one of the site's list, apart from its query.
  ///
  /// - Parameters:
  ///   - own: the host's public address, without a slash at the end.
  ///   - allowed: the site's list.
  package init(_ text: String, own: String, allowed: [String]) throws(ReturnAddressError) {
    let absolute = text.hasPrefix("/") ? try Self.below(own, path: text) : text
    let url = try Self.parse(absolute)
    for pair in (url.query ?? "").split(separator: "&") {
      let name = PercentEncoding.decode(pair.prefix { $0 != "=" })
      if Self.ownParameters.contains(name) {
        throw ReturnAddressError("has the parameter \(name), which the host adds")
      }
    }
    let place = url.origin + url.path
    let ownURL = try Self.parse(own)
    let root = ownURL.path == "/" ? "" : ownURL.path
    if url.origin == ownURL.origin, url.path == root || url.path.hasPrefix(root + "/") {
      guard !url.path.hasPrefix(root + "/api/") else {
        throw ReturnAddressError("is no page but a part of the interface")
      }
    } else if !allowed.contains(place) {
      throw ReturnAddressError("is neither below \(own) nor in the site's list of return addresses")
    }
    self.text = url.description
  }

  /// Takes an address that was checked when it was stored.
  package init(stored text: String) {
    self.text = text
  }

  /// The address with parameters behind those that it has.
  package func adding(_ parameters: [(String, String)]) -> String {
    text + (text.contains("?") ? "&" : "?") + FormText.encode(parameters)
  }

  /// An entry of a site's list in the form in which it is compared: `https`, or `http` on the machine itself, and no query.
  package static func entry(_ text: String) throws(ReturnAddressError) -> String {
    let url = try parse(text)
    if url.query != nil { throw ReturnAddressError("has a query; a return address may bring one, the list has none") }
    if url.scheme == .http, url.host != "127.0.0.1", url.host != "::1", url.host != "localhost" {
      throw ReturnAddressError("does not start with https://")
    }
    return url.origin + url.path
  }

  private static func below(_ own: String, path: String) throws(ReturnAddressError) -> String {
    guard !path.hasPrefix("//") else { throw ReturnAddressError("starts with two slashes") }
    return try parse(own).origin + path
  }

  /// Takes only what every browser and server reads alike.
  private static func parse(_ text: String) throws(ReturnAddressError) -> TargetURL {
    let url: TargetURL
    do {
      url = try TargetURL(text, maximumBytes: maximumBytes)
    } catch {
      throw ReturnAddressError(error.description)
    }
    let path = url.path.lowercased()
    guard !path.contains("//") else { throw ReturnAddressError("has two slashes in a row") }
    // What is a slash, a backslash, a dot, a percent sign or a control character only after decoding.
    for escape in ["%2f", "%5c", "%2e", "%25", "%7f", "%3b"] where path.contains(escape) {
      throw ReturnAddressError("hides a character of a path in \(escape)")
    }
    for part in url.description.split(separator: "%").dropFirst() {
      guard let value = UInt8(part.prefix(2), radix: 16), value >= 0x20 else {
        throw ReturnAddressError("hides a control character")
      }
    }
    return url
  }
}

/// What is wrong with a return address; does not repeat it.
package struct ReturnAddressError: Error, Sendable, Equatable, CustomStringConvertible {
  package let description: String

  init(_ description: String) {
    self.description = description
  }
}
