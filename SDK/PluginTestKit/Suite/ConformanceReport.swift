public import JSONText

/// What the suite found.
public struct ConformanceReport: Sendable {
  /// How one check ended.
  public enum Outcome: String, Sendable {
    case passed, failed, skipped
  }

  /// One check.
  public struct Entry: Sendable {
    /// Such as `stream.byte-at-a-time`.
    public let id: String
    /// What an adapter does that passes.
    public let title: String
    /// How it ended.
    public let outcome: Outcome
    /// Why it failed or does not apply; a remark if it passed.
    public let detail: String?
    /// How long it took, in milliseconds.
    public let milliseconds: Int64
  }

  /// Id of the plugin.
  public let plugin: String
  /// Version of the plugin.
  public let version: String
  /// Every check in order.
  public let entries: [Entry]

  /// Whether nothing failed.
  public var isConformant: Bool { !entries.contains { $0.outcome == .failed } }

  /// Number of checks that ended so.
  public func count(_ outcome: Outcome) -> Int {
    entries.count { $0.outcome == outcome }
  }

  /// The report for programs: `{"schema","plugin","version","conformant","passed","failed","skipped","checks":[…]}`.
  public var json: RawJSON {
    RawJSON.object { writer in
      writer.field("schema", "rostrum-conformance-report/1")
      writer.field("plugin", plugin)
      writer.field("version", version)
      writer.field("conformant", isConformant)
      for outcome in [Outcome.passed, .failed, .skipped] { writer.field(outcome.rawValue, count(outcome)) }
      writer.array("checks", entries) { writer, entry in
        writer.object { writer in
          writer.field("id", entry.id)
          writer.field("title", entry.title)
          writer.field("outcome", entry.outcome.rawValue)
          writer.field("detail", entry.detail)
          writer.field("ms", entry.milliseconds)
        }
      }
    }
  }
}
