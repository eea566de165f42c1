internal import JSONDocument
internal import PluginHost

/// What is stored of an event of a plugin.
struct PluginEventRecord: Sendable {
  let kind: String
  let subject: PluginEvent.Subject
  /// For people.
  let message: String
  /// JSON.
  let details: String
  /// Why the version must not stay the current one; nil when it may.
  let failure: String?

  /// Nil for what happens all the time.
  init?(_ event: PluginEvent) {
    var details: JSONValue = [:]
    var failure: String?
    switch event {
    case .started, .stopped, .drained, .removed, .upgraded: return nil
    case .crashed(let subject, let reason):
      (kind, self.subject, message) = ("crashed", subject, "Version \(subject.version) ended: \(reason)")
    case .quarantined(let subject, let quarantine):
      (kind, self.subject) = ("quarantined", subject)
      message = "Version \(subject.version) is in quarantine: \(quarantine.reason)"
      details = [
        "exit": quarantine.exit.map { .string($0) } ?? .null,
        "errorLines": .array(quarantine.errorLines.suffix(50).map { .string(Self.clean($0)) }),
        "frames": .array(quarantine.frames.suffix(20).map { .string(Self.clean("\($0)")) }),
      ]
    case .released(let subject):
      (kind, self.subject, message) = ("released", subject, "Version \(subject.version) works again")
    case .selfTestFailed(let subject, let reason):
      (kind, self.subject) = ("selfTestFailed", subject)
      message = "Version \(subject.version) was not taken into use: \(reason)"
      failure = "its self-test failed: \(reason)"
    case .rolledBack(let from, let to, let reason):
      (kind, subject) = ("failed", from)
      message = "Version \(from.version) failed, \(to.version) works instead: \(reason)"
      failure = reason
    case .jobParked(let subject, let job, let reason):
      (kind, self.subject) = ("jobParked", subject)
      message = "The job \(job) is not given to version \(subject.version) any more: \(reason)"
    }
    self.details = details.text()
    self.failure = failure
  }

  /// PostgreSQL stores no NUL, and a plugin can write one.
  private static func clean(_ text: String) -> String {
    String(text.unicodeScalars.prefix(2_000).map { $0.value == 0 ? "\u{FFFD}" : Character($0) })
  }
}
