import Egress
import PluginManifest

/// The addresses that a person typed to connect an account, checked and in one form.
///
/// What a person typed is what a person confirmed: they are stored with the connection, its secrets go there and nowhere
/// else, and nothing that a plugin says changes them.
struct AccountAddresses: Equatable {
  /// The whole address of the field `endpoint`.
  let endpoint: String?
  /// The origin of the field `origin`, without a path.
  let origin: String?

  /// Reads the fields of the form that connects an account; the error names the field and what is allowed.
  init(_ fields: [String: String], manifest: PluginManifest, policy: AddressPolicy) throws(PublishingError) {
    let known = Set(manifest.accountFields.map(\.name))
    for name in fields.keys.sorted() where !known.contains(name) {
      let allowed = known.isEmpty ? "none" : known.sorted().joined(separator: ", ")
      throw PublishingError(
        .invalid,
        "unknown",
        "fields.\(name) is not known; \(manifest.name) takes \(allowed)",
        field: "fields.\(name)"
      )
    }
    for field in manifest.accountFields where field.isRequired && (fields[field.name] ?? "").isEmpty {
      throw PublishingError(
        .invalid,
        "missing",
        "fields.\(field.name) is missing; needed is: \(field.label)",
        field: "fields.\(field.name)"
      )
    }
    endpoint = try Self.checked(fields["endpoint"], "endpoint", policy) { _ in nil }?.description
    origin = try Self.checked(fields["origin"], "origin", policy) { url in
      url.isOrigin ? nil : "has a path; allowed is scheme, host and port alone, such as https://social.example"
    }?.origin
  }

  private static func checked(
    _ text: String?,
    _ name: String,
    _ policy: AddressPolicy,
    _ objection: (TargetURL) -> String?
  ) throws(PublishingError) -> TargetURL? {
    guard let text, !text.isEmpty else { return nil }
    var code = "notAllowed"
    let problem: String
    do {
      let url = try TargetURL(text)
      if let found = objection(url) {
        problem = found
      } else if let found = policy.objection(to: policy.resolved(url)) {
        code = "address_not_allowed"
        problem = "\(found). An operator allows it with ROSTRUM_EGRESS_ALLOW"
      } else {
        return url
      }
    } catch {
      problem = error.description
    }
    throw PublishingError(
      .invalid,
      code,
      "fields.\(name) is \u{201C}\(text.prefix(200))\u{201D}: \(problem)",
      field: "fields.\(name)"
    )
  }
}
