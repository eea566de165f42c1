import Egress
import JSONText

/// What the journal answers and stores as text.
extension DeliveryJournal {
  /// What a plugin is answered for a commit whose own answer never said that it happened, or is gone.
  static func confirmed(_ record: EffectRecord) -> StoredAnswer {
    .result(
      RawJSON.object { writer in
        writer.field("status", 200)
        writer.object("headers") { _ in }
        writer.field("remoteId", record.remoteID)
      }
    )
  }

  static func stored(_ text: String) -> StoredAnswer? {
    // The journal holds only text that was valid when it was written; anything else is as good as no answer.
    (try? RawJSON(text: text)).map { .result($0) }
  }

  static func text(of reads: [String: ReadRecord]) -> String {
    RawJSON.array(reads.sorted { $0.key < $1.key }) { writer, kept in
      let (step, read) = kept
      writer.object { writer in
        writer.field("step", step)
        writer.field("rule", read.rule)
        writer.field("digest", read.digest)
        writer.field("status", read.status)
        writer.field("answer", read.answer.text)
      }
    }.text
  }
}
