/// Which servers the host may talk to: public ones over HTTPS, and those the operator allows by name.
package struct AddressPolicy: Sendable {
  /// One entry of the operator's allow list.
  package enum Allowed: Sendable, Equatable {
    /// All addresses of a block, on one port or on any.
    case block(AddressBlock, port: Int?)
    /// Whatever address a name has, on one port.
    case name(String, port: Int)
  }

  package let allowed: [Allowed]
  /// What stands in for servers, by the origin it replaces: another server, or a folder of one.
  package let overrides: [String: TargetURL]

  /// A policy without exceptions.
  package init() {
    allowed = []
    overrides = [:]
  }

  /// Reads the operator's settings; empty texts mean no entries.
  ///
  /// - Parameters:
  ///   - allow: `ROSTRUM_EGRESS_ALLOW`, entries `address[:port]`, `[address6]:port`, `block/length[:port]`, `name:port`.
  ///   - overrides: `ROSTRUM_ORIGIN_OVERRIDES`, entries `origin=origin` or `origin=origin/folder`.
  package init(allow: String, overrides: String) throws(AddressPolicyError) {
    var allowed: [Allowed] = []
    for entry in Self.entries(allow) { allowed.append(try Self.allowed(entry)) }
    var replaced: [String: TargetURL] = [:]
    for entry in Self.entries(overrides) {
      let (from, to) = try Self.override(entry)
      guard replaced.updateValue(to, forKey: from) == nil else {
        throw AddressPolicyError(.override, entry, "names an origin that another entry already replaces")
      }
    }
    self.allowed = allowed
    self.overrides = replaced
  }

  /// The address to use in place of `url`.
  package func resolved(_ url: TargetURL) -> TargetURL {
    overrides[url.origin].map { url.moved(to: $0) } ?? url
  }

  /// The address that `url` stands for, if its server stands in for another one; the reverse of `resolved`.
  ///
  /// - Parameter isWanted: Chooses where one server stands in for several without folders.
  package func original(of url: TargetURL, where isWanted: (TargetURL) -> Bool) -> TargetURL {
    let stands = overrides.sorted { ($1.value.path.utf8.count, $0.key) < ($0.value.path.utf8.count, $1.key) }
    for (origin, stand) in stands where stand.origin == url.origin {
      // The settings were read from valid addresses; an address outside of the folder stands for nothing there.
      guard let replaced = try? TargetURL(origin), let moved = url.moved(from: stand, to: replaced) else { continue }
      if isWanted(moved) { return moved }
    }
    return url
  }

  /// What is wrong with sending to this address, before any name is resolved; nil if nothing is.
  package func objection(to url: TargetURL) -> String? {
    if let address = url.literalAddress {
      if isAllowed(address, port: url.port) { return nil }
      return "an address instead of a host name is only allowed if the operator lists it"
    }
    if url.scheme == .http, !allowed.contains(where: { $0.couldAllow(host: url.host, port: url.port) }) {
      return "only https is allowed"
    }
    return nil
  }

  /// Whether a connection to this very address may be opened for a request to `url`.
  ///
  /// Called with the address that is about to be used, so nothing can change in between.
  package func permits(_ address: IPAddress, port: Int, for url: TargetURL) -> Bool {
    if isAllowed(address, port: port) || isAllowed(name: url.host, port: port) { return true }
    guard url.scheme == .https, url.literalAddress == nil else { return false }
    return !Self.isReserved(address)
  }

  /// Whether the operator listed the address.
  private func isAllowed(_ address: IPAddress, port: Int) -> Bool {
    let plain = address.unmapped
    return allowed.contains { entry in
      guard case .block(let block, let wanted) = entry else { return false }
      return (wanted == nil || wanted == port) && (block.contains(plain) || block.contains(address))
    }
  }

  private func isAllowed(name: String, port: Int) -> Bool {
    allowed.contains(.name(name, port: port))
  }

  // MARK: Reserved addresses

  /// Whether an address is not a public unicast one: private, local, shared, documentation, multicast or a tunnel.
  package static func isReserved(_ address: IPAddress) -> Bool {
    let plain = address.unmapped
    return reserved.contains { $0.contains(plain) }
  }

  private static let reserved: [AddressBlock] = [
    // Public unicast addresses of IPv6 all lie in 2000::/3; everything outside is local, a tunnel, or not given out.
    "::/3", "4000::/2", "8000::/1",
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/3", "2001::/23",
    "2001:db8::/32", "2002::/16", "3fff::/20",
  ].compactMap { AddressBlock($0) }

  // MARK: Settings

  private static func entries(_ text: String) -> [String] {
    text.split(separator: ",", omittingEmptySubsequences: false)
      .map { entry in String(entry.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed()) }
      .filter { !$0.isEmpty }
  }

  private static func allowed(_ entry: String) throws(AddressPolicyError) -> Allowed {
    var place = entry[...]
    var port: Int?
    let colons = entry.filter { $0 == ":" }.count
    if entry.hasPrefix("[") {
      guard let close = entry.firstIndex(of: "]") else { throw AddressPolicyError(.allow, entry, "has a [ without ]") }
      let behind = entry[entry.index(after: close)...]
      place = entry[entry.index(after: entry.startIndex)..<close]
      if !behind.isEmpty {
        guard behind.hasPrefix(":") else { throw AddressPolicyError(.allow, entry, "has text behind ]") }
        port = try portNumber(behind.dropFirst(), entry)
      }
    } else if colons == 1, let colon = entry.firstIndex(of: ":") {
      place = entry[..<colon]
      port = try portNumber(entry[entry.index(after: colon)...], entry)
    }
    if let address = IPAddress(place) { return .block(AddressBlock(address), port: port) }
    if place.contains("/") {
      guard let block = AddressBlock(place) else {
        throw AddressPolicyError(.allow, entry, "is no block such as 10.1.0.0/16 (bits behind the length must be 0)")
      }
      return .block(block, port: port)
    }
    guard let port else { throw AddressPolicyError(.allow, entry, "is a name without :port") }
    do {
      return .name(try TargetURL("https://\(place):\(port)").host, port: port)
    } catch {
      throw AddressPolicyError(.allow, entry, error.description)
    }
  }

  private static func portNumber(_ text: Substring, _ entry: String) throws(AddressPolicyError) -> Int {
    guard let port = DecimalNumber.parse(text, atMost: 65_535), port > 0 else {
      throw AddressPolicyError(.allow, entry, "has a bad port")
    }
    return port
  }

  private static func override(_ entry: String) throws(AddressPolicyError) -> (String, TargetURL) {
    let halves = entry.split(separator: "=", omittingEmptySubsequences: false)
    guard halves.count == 2 else { throw AddressPolicyError(.override, entry, "is not origin=origin") }
    let replaced: TargetURL
    let stand: TargetURL
    do throws(TargetURLError) {
      replaced = try TargetURL(String(halves[0]))
      stand = try TargetURL(String(halves[1]))
    } catch {
      throw AddressPolicyError(.override, entry, error.description)
    }
    guard replaced.isOrigin else {
      throw AddressPolicyError(.override, entry, "has a path on the left; only scheme, host and port are allowed there")
    }
    guard !entry.hasSuffix("/"), !halves[0].hasSuffix("/"), stand.query == nil, !stand.path.contains("//") else {
      throw AddressPolicyError(.override, entry, "has a slash at an end, an empty folder or a query")
    }
    return (replaced.origin, stand)
  }
}

extension AddressPolicy.Allowed {
  /// Whether a name on a port could turn out to be allowed once it is resolved.
  fileprivate func couldAllow(host: String, port: Int) -> Bool {
    switch self {
    case .block(_, let wanted): wanted == nil || wanted == port
    case .name(let name, let wanted): name == host && wanted == port
    }
  }
}

/// An entry of the operator's settings that cannot be understood.
package struct AddressPolicyError: Error, Sendable, Equatable, CustomStringConvertible {
  package enum Setting: String, Sendable {
    case allow = "ROSTRUM_EGRESS_ALLOW"
    case override = "ROSTRUM_ORIGIN_OVERRIDES"
  }

  package let setting: Setting
  package let entry: String
  package let problem: String

  init(_ setting: Setting, _ entry: String, _ problem: String) {
    self.setting = setting
    self.entry = entry
    self.problem = problem
  }

  package var description: String { "\(setting.rawValue): \"\(entry)\" \(problem)" }
}
