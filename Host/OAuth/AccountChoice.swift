package import Cryptography
package import JSONDocument
package import PluginManifest

/// One account that a sign-in reaches.
package struct AccountChoice: Sendable {
  /// 1 to 256 bytes.
  package let id: String
  package let name: String
  package let handle: String?
  /// The account's own token; nil if the one of the sign-in is used.
  package let token: Secret?
  /// Whether the person may do with it what Rostrum needs.
  package let isUsable: Bool

  package init(id: String, name: String, handle: String?, token: Secret?, isUsable: Bool) {
    self.id = id
    self.name = name
    self.handle = handle
    self.token = token
    self.isUsable = isUsable
  }
}

extension OAuthAccounts {
  /// Most accounts of one sign-in.
  package static let maximum = 200

  /// The entries of one page of the list, and the mark of the next page. Entries without an id are left out.
  package func read(_ document: JSONValue) -> (choices: [AccountChoice], next: String?) {
    let choices = (document.pointer(each)?.arrayValue ?? []).compactMap { entry -> AccountChoice? in
      guard let id = text(entry, id), (1...256).contains(id.utf8.count) else { return nil }
      let isUsable =
        needs.map { needs in
          (entry.pointer(needs.pointer)?.arrayValue ?? []).contains {
            $0.stringValue.map(needs.anyOf.contains) ?? false
          }
        } ?? true
      let own = token.flatMap { text(entry, $0) }
      return AccountChoice(
        id: id,
        name: text(entry, name) ?? id,
        handle: handle.flatMap { text(entry, $0) },
        token: own.map { Secret($0) },
        isUsable: isUsable && (token == nil || own != nil)
      )
    }
    return (choices, next.flatMap { text(document, $0.pointer) })
  }

  /// A text or a whole number; ids of some platforms are numbers.
  private func text(_ value: JSONValue, _ pointer: String) -> String? {
    switch value.pointer(pointer) {
    case .string(let text) where !text.isEmpty && text.utf8.count <= 8_192: text
    case .int(let number): "\(number)"
    default: nil
    }
  }
}
