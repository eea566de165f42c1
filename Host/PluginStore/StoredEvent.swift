package import FoundationEssentials

/// Something that happened to a plugin.
package struct StoredEvent: Sendable {
  package let id: Int64
  package let plugin: String
  package let version: String?
  package let kind: String
  /// For people.
  package let message: String
  /// JSON.
  package let details: String
  package let madeBy: String
  package let createdAt: Date
}
