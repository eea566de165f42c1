/// The form of the public address of a platform's posts, such as `https://example.com/{handle}/posts/{id}`: it tells the
/// id of a post whose address a person knows.
package struct PostAddress: Sendable, Equatable, CustomStringConvertible {
  /// What an address turned out to be.
  package enum Reading: Sendable, Equatable {
    /// The address of the account's post with this id.
    case post(String)
    /// The address of a post of another account.
    case otherAccount
    /// No address of this form.
    case other
  }

  private enum Hole: Sendable, Equatable {
    case id(isNumber: Bool)
    case handle
    case account
  }

  /// One part of the path between slashes: text, or text and behind it a hole.
  private struct Segment: Sendable, Equatable {
    let text: String
    let hole: Hole?
  }

  /// The form as the manifest wrote it.
  package let description: String
  /// Lower-case, without `www.`; nil for the account's own origin.
  private let host: String?
  private let segments: [Segment]

  package static let rule =
    "https://<host> or {origin}, and a path with one {id} or {id:digits}; also {handle} and {account}, each the end of a "
    + "segment"

  /// Reads a form; nil if it is none.
  package init?(_ text: String) {
    guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && !"\"<>\\^`?#%".utf8.contains($0) }) else { return nil }
    let rest: Substring
    if text.hasPrefix("{origin}/") {
      rest = text.dropFirst(9)
      host = nil
    } else {
      guard text.hasPrefix("https://"), let slash = text.dropFirst(8).firstIndex(of: "/") else { return nil }
      let name = text.dropFirst(8)[..<slash]
      guard RuleParser.isOrigin("https://" + name) else { return nil }
      host = Self.plain(name)
      rest = text[text.index(after: slash)...]
    }
    var segments: [Segment] = []
    for part in rest.split(separator: "/", omittingEmptySubsequences: false) {
      guard let segment = Self.segment(part) else { return nil }
      segments.append(segment)
    }
    let ids = segments.count { if case .id = $0.hole { true } else { false } }
    guard ids == 1 else { return nil }
    description = text
    self.segments = segments
  }

  private static func segment(_ text: Substring) -> Segment? {
    guard !text.isEmpty else { return nil }
    guard let open = text.firstIndex(of: "{") else {
      return text.contains("}") ? nil : Segment(text: String(text), hole: nil)
    }
    let hole: Hole
    switch text[open...] {
    case "{id}": hole = .id(isNumber: false)
    case "{id:digits}": hole = .id(isNumber: true)
    case "{handle}": hole = .handle
    case "{account}": hole = .account
    default: return nil
    }
    return Segment(text: String(text[..<open]), hole: hole)
  }

  /// Reads an address as a person copied it: scheme, `www.`, query, fragment and a last slash do not matter.
  ///
  /// - Parameters:
  ///   - handle: of the account; nil if it has none, then any fits.
  ///   - account: the platform's id of the account.
  ///   - origin: the server of the account, for platforms that run on many.
  package func read(_ address: String, handle: String?, account: String, origin: String?) -> Reading {
    let lowered = address.lowercased()
    guard let scheme = ["https://", "http://"].first(where: lowered.hasPrefix) else { return .other }
    let whole = address.dropFirst(scheme.utf8.count).prefix { $0 != "?" && $0 != "#" }
    let parts = whole.split(separator: "/")
    guard let name = parts.first, parts.count == segments.count + 1 else { return .other }
    let own = host ?? origin.flatMap { $0.split(separator: "/").last }.map { Self.plain($0) }
    guard let own, Self.plain(name) == own else { return .other }
    var id = ""
    var isOwn = true
    for (part, segment) in zip(parts.dropFirst(), segments) {
      guard let hole = segment.hole else {
        guard part == segment.text else { return .other }
        continue
      }
      guard part.hasPrefix(segment.text) else { return .other }
      let value = part.dropFirst(segment.text.count)
      switch hole {
      case .id(let isNumber):
        guard Self.isID(value, isNumber: isNumber) else { return .other }
        id = String(value)
      case .handle:
        let known = (handle ?? "").drop { $0 == "@" }
        isOwn = isOwn && (known.isEmpty || value.lowercased() == known.lowercased())
      case .account:
        isOwn = isOwn && value == account
      }
    }
    return isOwn ? .post(id) : .otherAccount
  }

  private static func isID(_ text: Substring, isNumber: Bool) -> Bool {
    (1...512).contains(text.utf8.count)
      && text.utf8.allSatisfy { isNumber ? (0x30...0x39).contains($0) : (0x21...0x7E).contains($0) && $0 != 0x25 }
  }

  private static func plain(_ host: some StringProtocol) -> String {
    let lowered = host.lowercased()
    return lowered.hasPrefix("www.") ? String(lowered.dropFirst(4)) : lowered
  }
}

extension PluginManifest {
  /// The id of the account's post at an address, by the forms that the manifest lists.
  ///
  /// - Returns: `other` also when it lists none.
  package func readPostAddress(
    _ address: String,
    handle: String?,
    account: String,
    origin: String?
  ) -> PostAddress.Reading {
    let readings = postAddresses.map { $0.read(address, handle: handle, account: account, origin: origin) }
    return readings.first { if case .post = $0 { true } else { false } }
      ?? (readings.contains(.otherAccount) ? .otherAccount : .other)
  }
}
