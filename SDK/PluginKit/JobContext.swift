public import FoundationEssentials
public import PluginProtocol

/// What a delivery may use. Everything in it is the same each time the job runs.
public struct JobContext: HostContext {
  /// The account to publish to.
  public let account: Account
  /// UUID of the delivery; the same at every attempt.
  public let key: String
  /// The time the job goes by; use it instead of the system's clock.
  public let now: Date
  /// Number of this attempt, from 1; must not change what is asked of the host.
  public let attempt: Int64
  /// The services of the host.
  public let host: HostServices
  private let seed: String

  package init(account: Account, info: JobInfo, attempt: Int64, host: HostServices) throws(PlatformError) {
    guard let now = WireDate.parse(info.now) else {
      throw PlatformError(.invalidParams, "the time of the job is not RFC 3339", field: "job.now")
    }
    self.account = account
    self.now = now
    self.attempt = attempt
    self.host = host
    key = info.key
    seed = info.seed
  }

  /// A generator that gives the same numbers each time the job runs; each use of this property starts anew.
  public var random: SeededRandom { SeededRandom(seed: seed) }

  /// Ends the call and goes on later: the host runs the job again after `duration`, and finished steps answer from the
  /// journal. Costs no attempt and holds nothing meanwhile, so it may take hours.
  public func wait(for duration: Duration, why: String) async throws -> Never {
    throw DurableWait(wait: Publication.Wait(afterMs: max(HostServices.milliseconds(duration), 0), why: why))
  }

  /// Asks the host for the facts of a file of the post.
  public func stat(_ handle: String) async throws(PlatformError) -> MediaItem {
    try await host.stat(handle)
  }

  /// Reads some bytes of a file, at most 192 KiB; for probing. Uploads name the file instead.
  public func read(_ handle: String, from offset: Int64, count: Int64) async throws(PlatformError) -> [UInt8] {
    try await host.read(handle, from: offset, count: count)
  }

  /// Shows people how far the job has come.
  public func progress(_ fraction: Double? = nil, note: String? = nil) {
    host.progress(fraction, note)
  }
}
