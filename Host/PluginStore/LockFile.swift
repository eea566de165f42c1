internal import FoundationEssentials
package import JSONDocument
internal import PluginManifest

/// `plugins.lock.json`: what runs and what it was granted, for a repository to keep.
package enum LockFile {
  package static let name = "plugins.lock.json"

  /// The text of the file; the same installation always gives the same text.
  package static func document(_ generation: Generation) -> JSONValue {
    let plugins = generation.bundles.map { ($0.id, plugin($0)) }
    return ["lock": 1, "plugins": .object(Dictionary(plugins) { first, _ in first })]
  }

  /// The file's text: a line for each value, so that changes can be read.
  package static func text(_ generation: Generation) -> String { lines(document(generation), indent: "") + "\n" }

  private static func lines(_ value: JSONValue, indent: String) -> String {
    let inner = indent + "  "
    switch value {
    case .object(let members) where !members.isEmpty:
      let rows = members.sorted { $0.key < $1.key }.map { name, member in
        "\(inner)\(JSONValue.string(name).text()): \(lines(member, indent: inner))"
      }
      return "{\n" + rows.joined(separator: ",\n") + "\n\(indent)}"
    case .array(let elements) where !elements.isEmpty:
      let rows = elements.map { inner + lines($0, indent: inner) }
      return "[\n" + rows.joined(separator: ",\n") + "\n\(indent)]"
    default: return value.text()
    }
  }

  private static func plugin(_ bundle: StoredBundle) -> JSONValue {
    let manifest = bundle.manifest
    let platforms = manifest.manifest.artifacts.map { artifact in
      ("\(artifact.os)-\(artifact.arch)", JSONValue.string("sha256:" + (artifact.files[artifact.entry] ?? "")))
    }
    return [
      "version": .string("\(bundle.version)"), "manifest": .string(bundle.digest),
      "publisher": .string(manifest.publisher), "trust": .string(bundle.isFirstParty ? "host" : "approved"),
      "source": .string(bundle.source),
      "platforms": .object(Dictionary(platforms) { first, _ in first }),
      "grants": .array(manifest.grants.all.map(grant)),
      "approvedBy": bundle.approvedBy.map { .string($0) } ?? .null,
      "approvedAt": bundle.approvedAt.map { .string(RFC3339.format($0)) } ?? .null,
    ]
  }

  /// A grant as its key, with the amount behind it where it has one.
  private static func grant(_ grant: Grant) -> JSONValue {
    guard let amount = grant.amount else { return .string(grant.key) }
    return .string("\(grant.key) \(amount == amount.rounded() ? "\(Int64(amount))" : "\(amount)")")
  }
}
