internal import Logging
internal import Publishing
internal import ServiceTree

/// Stores renewed tokens that wait on this host's disk, and asks platforms to end the credentials of accounts that are
/// gone: often, because what waits on a disk is what another host would ask for again.
struct TokenKeeper: Service {
  let name = "tokens"

  let publishing: PublishingAssembly
  let logger: Logger

  private static let interval: Duration = .seconds(1)

  func run() async throws {
    let shutdown = Shutdown.current
    repeat {
      await replay()
      await orLog("Ending credentials at their platforms", logger) {
        try await publishing.revocations.round(until: { shutdown.isRequested })
      }
    } while await shutdown.sleep(for: Self.interval)
  }

  /// Before anything is renewed, at the start too.
  func replay() async {
    await orLog("Storing renewed tokens", logger) { _ = try await publishing.renewer.replay() }
  }
}
