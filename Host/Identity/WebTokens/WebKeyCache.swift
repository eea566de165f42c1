import Cryptography

/// The key sets of issuers by their addresses: fetched when needed, by one request at a time and never often.
actor WebKeyCache {
  /// Gets a key set; nil when it can not be had.
  typealias Fetch = @Sendable (_ url: String) async -> [UInt8]?

  private struct Known {
    var keys: WebKeySet?
    /// When `keys` came.
    var fetchedAt: ContinuousClock.Instant?
    var triedAt: ContinuousClock.Instant?
  }

  /// A set is asked for again after this time, so that keys which the issuer withdrew go.
  private static let fresh: Duration = .seconds(600)
  /// The pause between two requests to one address, whatever tokens say.
  private static let pause: Duration = .seconds(10)
  /// How long a set is believed while its issuer does not answer.
  private static let longest: Duration = .seconds(86_400)
  private static let capacity = 1_000

  private let fetch: Fetch
  private let now: @Sendable () -> ContinuousClock.Instant
  private var known: [String: Known] = [:]
  private var running: [String: Task<Void, Never>] = [:]

  init(fetch: @escaping Fetch, now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) {
    self.fetch = fetch
    self.now = now
  }

  /// The key with which the issuer's tokens of that name are checked.
  func key(_ id: String?, _ algorithm: WebToken.Algorithm, at url: String) async -> VerifyingKey? {
    if needsFetch(url, id, algorithm) { await refresh(url) }
    guard let entry = known[url], let fetchedAt = entry.fetchedAt, now() - fetchedAt < Self.longest else { return nil }
    return entry.keys?.key(id, algorithm)
  }

  private func needsFetch(_ url: String, _ id: String?, _ algorithm: WebToken.Algorithm) -> Bool {
    guard let entry = known[url], let keys = entry.keys, let fetchedAt = entry.fetchedAt else { return true }
    return now() - fetchedAt >= Self.fresh || keys.key(id, algorithm) == nil
  }

  private func refresh(_ url: String) async {
    if let task = running[url] {
      await task.value
      return
    }
    if let triedAt = known[url]?.triedAt, now() - triedAt < Self.pause { return }
    if known.count >= Self.capacity { known.removeAll() }
    known[url, default: Known()].triedAt = now()
    let task = Task { await load(url) }
    running[url] = task
    await task.value
  }

  private func load(_ url: String) async {
    let bytes = await fetch(url)
    // Before anybody who waits goes on.
    running[url] = nil
    guard let bytes, let keys = WebKeySet(bytes) else { return }
    known[url, default: Known()].keys = keys
    known[url]?.fetchedAt = now()
  }
}
