internal import AuditChain
internal import Logging
internal import ServiceTree
internal import Synchronization

/// Seals the audit trail, and keeps its signed heads in the folder of this host.
///
/// Not a periodic job of the queue: a look every two seconds would write more rows there than it seals. The row that
/// says how far the chain has come is locked while one host seals; the others copy heads meanwhile.
final class AuditKeeper: Service {
  let name = "audit"

  private let sealer: AuditSealer
  private let heads: HeadKeeper
  private let logger: Logger
  private let lacking = Mutex<Int64>(0)

  private static let interval: Duration = .seconds(2)

  init(sealer: AuditSealer, heads: HeadKeeper, logger: Logger) {
    self.sealer = sealer
    self.heads = heads
    self.logger = logger
  }

  /// How many rows the database lacks of those that this host knows of.
  var missing: Int64 { lacking.withLock { $0 } }

  func run() async throws {
    while await Shutdown.current.sleep(for: Self.interval) {
      let shutdown = Shutdown.current
      await round(until: { shutdown.isRequested })
    }
    // Everything else has ended by now, so this is the last word.
    await round()
  }

  private func round(until shouldStop: () -> Bool = { false }) async {
    await orLog("Sealing the audit trail", logger) { try await sealer.round(until: shouldStop) }
    await orLog("Keeping the heads of the audit trail", logger) {
      let missing = try await heads.round()
      let before = lacking.withLock { count in
        defer { count = missing }
        return count
      }
      if missing > 0, before == 0 {
        logger.error(
          "The audit trail lacks rows that this host knows of; see `rostrum audit verify`",
          ["rows": .int(missing)]
        )
      }
    }
  }
}
