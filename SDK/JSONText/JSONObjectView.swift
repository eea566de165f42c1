/// The members of one object: where each key and value lies in the text.
///
/// Making a view takes one pass and one array; reading a member copies nothing but decoded strings.
public struct JSONObjectView: Sendable {
  /// One member; offsets of the key are those between its quotes.
  private struct Member: Sendable {
    let key: Range<Int>
    let escaped: Bool
    let value: Range<Int>
  }

  /// The whole object.
  public let raw: RawJSON
  private let members: [Member]

  init(_ raw: RawJSON) {
    self.raw = raw
    var members: [Member] = []
    members.reserveCapacity(8)
    let bytes = raw.storage.span
    var index = JSONWalker.skipWhitespace(bytes, raw.range.lowerBound + 1)
    while index < raw.range.upperBound, bytes[index] == Byte.quote {
      let key = JSONWalker.endOfString(bytes, index)
      // One colon, with white space on either side, stands between key and value.
      let colon = JSONWalker.skipWhitespace(bytes, key.end)
      let start = JSONWalker.skipWhitespace(bytes, colon + 1)
      let end = JSONWalker.endOfValue(bytes, start)
      members.append(Member(key: (index + 1)..<(key.end - 1), escaped: key.escaped, value: start..<end))
      index = JSONWalker.skipWhitespace(bytes, end)
      guard index < raw.range.upperBound, bytes[index] == Byte.comma else { break }
      index = JSONWalker.skipWhitespace(bytes, index + 1)
    }
    self.members = members
  }

  /// Number of members.
  public var count: Int { members.count }

  /// The keys in the order of the text.
  public var keys: [String] { members.map(name) }

  /// Keys and values in the order of the text.
  public var all: [(key: String, value: RawJSON)] { members.map { (name($0), raw.part($0.value)) } }

  /// The value of a key; a member that is `null` is returned as such.
  public subscript(key: String) -> RawJSON? {
    for member in members where matches(member, key) { return raw.part(member.value) }
    return nil
  }

  /// The value of a key, nil if the key is absent or its value is `null`.
  public func optional(_ key: String) -> RawJSON? {
    guard let value = self[key], !value.isNull else { return nil }
    return value
  }

  /// The value of a key that must be there (it may be `null`).
  public func value(_ key: String) throws(JSONTextError) -> RawJSON {
    guard let value = self[key] else { throw JSONTextError(.missing, at: raw.range.lowerBound, field: key) }
    return value
  }

  private func name(_ member: Member) -> String {
    guard member.escaped else { return String(decoding: raw.storage[member.key], as: UTF8.self) }
    return String(decoding: JSONStringDecoder.decode(raw.storage.span, member.key), as: UTF8.self)
  }

  private func matches(_ member: Member, _ key: String) -> Bool {
    if member.escaped { return name(member) == key }
    let wanted = key.utf8
    guard wanted.count == member.key.count else { return false }
    let bytes = raw.storage.span
    var index = member.key.lowerBound
    for byte in wanted {
      guard bytes[index] == byte else { return false }
      index += 1
    }
    return true
  }
}
