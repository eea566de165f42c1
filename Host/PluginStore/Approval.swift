/// What a person has to agree to before a version runs.
package struct Approval: Sendable, Equatable {
  /// What it asks for beyond what its predecessor was granted; everything for a plugin that is new.
  package let grants: [Grant]
  /// The key of the version that runs, when another one signed the new version.
  package let formerPublisher: String?
  /// Whether no version of the plugin is installed.
  package let isNew: Bool

  package init(grants: [Grant], formerPublisher: String?, isNew: Bool) {
    self.grants = grants
    self.formerPublisher = formerPublisher
    self.isNew = isNew
  }

  /// What a version needs before it may follow another one; nil when nothing.
  package static func needed(for new: SignedManifest, after old: SignedManifest?) -> Approval? {
    guard let old else { return Approval(grants: new.grants.all, formerPublisher: nil, isNew: true) }
    let grants = new.grants.beyond(old.grants)
    let former = old.publisher == new.publisher ? nil : old.publisher
    return grants.isEmpty && former == nil ? nil : Approval(grants: grants, formerPublisher: former, isNew: false)
  }

  /// The same in plain words, a line each.
  package func lines(publisher: String) -> [String] {
    var lines: [String] = []
    if isNew { lines.append("It is signed by \(publisher).") }
    if let formerPublisher { lines.append("It is signed by another key: \(publisher) instead of \(formerPublisher).") }
    if !grants.isEmpty { lines.append(isNew ? "It asks to:" : "It asks for more than the version before:") }
    return lines + grants.map { "- \($0.words)" }
  }
}
