import Cryptography
package import FoundationEssentials
import JSONText
import Postgres

/// Keeps an account from saying the same thing twice by mistake: the same text with the same media, within a time.
///
/// It looks at what is planned as well as at what went out. What failed, was withdrawn or was deleted on the platform
/// does not count.
package struct ContentGuard: Sendable, Equatable {
  /// The longest window that can be set; rows older than that are of no use.
  package static let longestWindow: TimeInterval = 30 * 86_400

  /// How far apart the same content has to be, in seconds, both ways; zero switches the guard off.
  package var window: TimeInterval

  package init(window: TimeInterval = 86_400) {
    self.window = min(max(window, 0), Self.longestWindow)
  }

  /// What one delivery says.
  package struct Content: Sendable {
    package var delivery: Int64
    package var lane: Int64
    package var digest: [UInt8]
  }

  /// Whether an error is that of ``refusal(of:at:allowsRepeats:)``; answers the earlier delivery.
  static func earlier(_ error: PostgresError) -> Int64? {
    guard error.constraint == "content_guard" else { return nil }
    return error.column.flatMap { Int64($0) }
  }

  /// The statement that refuses, for the transaction that makes deliveries, before their rows.
  ///
  /// - Parameter allowsRepeats: somebody said that it is meant. The contents are still locked, so that another
  ///   transaction with one of them sees these deliveries.
  func refusal(of contents: [Content], at date: Date, allowsRepeats: Bool) -> SQL {
    let reach = allowsRepeats ? 0 : window
    return """
      SELECT refuse_repeated_content(\(contents.map(\.lane)), \(contents.map(\.digest)),
        greatest(\(date), clock_timestamp()), \(reach) * interval '1 s')
      """
  }

  /// Stores what deliveries say, for the guard to find.
  static func store(_ contents: [Content], site: Int64) -> SQL {
    """
    INSERT INTO delivery_contents (delivery_id, site_id, lane_id, digest)
    SELECT t.delivery_id, \(site), t.lane_id, t.digest
    FROM unnest(\(contents.map(\.delivery)), \(contents.map(\.lane)), \(contents.map(\.digest)))
      AS t(delivery_id, lane_id, digest)
    ON CONFLICT (delivery_id) DO UPDATE SET digest = excluded.digest, created_at = now()
    """
  }
}

extension Variant {
  /// SHA-256 over what readers see: text, link, tags, mentions and the files themselves, but not their names or places.
  ///
  /// - Parameter isWholeRecord: whether the adapter passes on title, excerpt and content too.
  package func contentDigest(isWholeRecord: Bool) -> [UInt8] {
    var said = self
    said.options = nil
    if !isWholeRecord {
      said.title = ""
      said.excerpt = ""
      said.content = nil
    }
    said.media = media.map { file in
      VariantMedia(
        mediaID: 0,
        type: "",
        bytes: 0,
        width: nil,
        height: nil,
        sha256: file.sha256,
        fileName: "",
        alt: ""
      )
    }
    return SHA256.digest(said.json().canonical().text)
  }
}
