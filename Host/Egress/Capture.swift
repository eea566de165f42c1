package import Cryptography
package import PluginManifest

/// The name under which a plugin knows what the host has captured: `capture:<step>/<name>`.
///
/// The same on every replay of the delivery, and without meaning in any other.
package struct CaptureHandle: Sendable, Hashable, CustomStringConvertible {
  package let step: String
  /// The name in the manifest, and behind a colon the label of the list's element, if there is one.
  package let name: String

  package init(step: String, name: String) {
    self.step = step
    self.name = name
  }

  /// Reads the form that plugins send; nil if it is none.
  package init?(_ text: String) {
    guard text.hasPrefix(Self.prefix), text.utf8.count <= 300, let slash = text.lastIndex(of: "/") else { return nil }
    step = String(text[text.index(text.startIndex, offsetBy: Self.prefix.count)..<slash])
    name = String(text[text.index(after: slash)...])
    guard !step.isEmpty, !name.isEmpty else { return nil }
  }

  package var description: String { "\(Self.prefix)\(step)/\(name)" }

  /// Whether this is a capture of the manifest's name `base`.
  func isCapture(of base: String) -> Bool {
    name == base || name.hasPrefix(base + ":")
  }

  private static let prefix = "capture:"
}

/// A secret or an address that was taken out of an answer.
package struct CapturedValue: Sendable, Equatable {
  package let handle: CaptureHandle
  package let kind: CaptureClause.Kind
  package let value: Secret

  package init(handle: CaptureHandle, kind: CaptureClause.Kind, value: Secret) {
    self.handle = handle
    self.kind = kind
    self.value = value
  }
}
