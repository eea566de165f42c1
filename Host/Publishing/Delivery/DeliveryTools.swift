import Egress
import FoundationEssentials
package import JSONText
import Logging
import MediaStore
import PluginHost
import Postgres

/// What every delivery of a host shares.
struct DeliveryTools: Sendable {
  let plugins: PluginHost
  let egress: Egress
  /// The group-commit writer of started rows and outcomes; a connection of its own, so that a slow claim never delays
  /// sending.
  let effects: BatchWriter
  let store: JournalStore
  let spool: OutcomeSpool
  let accounts: AccountCache
  let renewer: TokenRenewer
  let files: MediaFiles
  let limits: LimitRecorder
  let lanes: LimitService
  let breakers: BreakerBoard
  let hints: any DeliveryHints
  let logger: Logger
  let permit: SendPermit
  /// The instant after which this node may not start a request any more; nil while no bound is known.
  let sendDeadline: @Sendable () -> ContinuousClock.Instant?
}

/// Hears of each step of a delivery as it happens, on this host only. Losing a hint loses nothing: ends are events in
/// the outbox.
package protocol DeliveryHints: Sendable {
  /// - Parameter data: an object with at least `id` and `state`.
  func hint(site: Int64, kind: String, data: RawJSON)
}

/// Drops hints.
package struct NoHints: DeliveryHints {
  package init() {}

  package func hint(site: Int64, kind: String, data: RawJSON) {}
}
