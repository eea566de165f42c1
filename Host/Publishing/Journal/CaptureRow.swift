import Cryptography
import Egress
import FoundationEssentials
import PluginManifest
import Postgres
import Vault

/// One captured value as it is stored: sealed for its place, of no use anywhere else.
package struct CaptureRow: Sendable, Equatable {
  package var step: String
  package var name: String
  /// `secret` or `url`.
  package var kind: String
  package var sealed: [UInt8]
  package var keyID: Int64

  package init(step: String, name: String, kind: String, sealed: [UInt8], keyID: Int64) {
    self.step = step
    self.name = name
    self.kind = kind
    self.sealed = sealed
    self.keyID = keyID
  }

  /// Seals what was captured for its row.
  init(_ value: CapturedValue, place: CapturePlace, sealer: Sealer) throws {
    let blob = try sealer.seal(value.value, for: place.context(value.handle, kind: value.kind.rawValue))
    self.init(
      step: value.handle.step,
      name: value.handle.name,
      kind: value.kind.rawValue,
      sealed: blob.bytes,
      keyID: blob.keyID
    )
  }
}

/// The row of the journal that a capture belongs to.
struct CapturePlace: Sendable {
  let site: Int64
  let delivery: Int64
  let run: Int
  let attempt: Int

  func context(_ handle: CaptureHandle, kind: String) -> SealContext {
    SealContext(
      kind: kind == "url" ? .capturedURL : .capturedSecret,
      site: site,
      platform: "",
      connection: delivery,
      field: "\(run)/\(handle.step)/\(handle.name)",
      generation: Int64(attempt)
    )
  }
}

/// Statements about captures that other statements contain.
enum CaptureStatements {
  /// A common table expression that stores captures with the rows that `done` returns (nonce, delivery_id, run, site_id).
  ///
  /// - Parameter attempt: the try of each capture, for a read 0.
  static func insert(_ captures: [(nonce: UUID, attempt: Int, row: CaptureRow)], with done: SQL) -> SQL {
    """
    captures AS (
      INSERT INTO delivery_captures (delivery_id, run, step, name, try, site_id, kind, sealed, key_id)
      SELECT d.delivery_id, d.run, c.step, c.name, c.try, d.site_id, c.kind, c.sealed, c.key_id
      FROM unnest(
        \(captures.map(\.nonce)), \(captures.map(\.row.step)), \(captures.map(\.row.name)),
        \(captures.map { Int32(clamping: $0.attempt) }), \(captures.map(\.row.kind)),
        \(captures.map(\.row.sealed)), \(captures.map(\.row.keyID))
      ) AS c(nonce, step, name, try, kind, sealed, key_id)
      JOIN \(fragment: done) d USING (nonce)
      ON CONFLICT (delivery_id, run, step, name) DO UPDATE
        SET try = excluded.try, kind = excluded.kind, sealed = excluded.sealed, key_id = excluded.key_id,
          created_at = now()
    )
    """
  }
}
