package import HTTPServer
package import Logging
package import Postgres
import ServiceTree
import Synchronization

/// Brings the events of the outbox to the people who watch, in the order of their transactions.
///
/// Every host reads the same outbox, so every client hears of everything whichever host it asks. A reader stops at the
/// oldest running transaction, so an event that commits late is never skipped.
package final class EventHub: Service {
  /// The place of an event in the outbox; clients send it back as `Last-Event-ID`.
  package struct Position: Sendable, Equatable, Comparable {
    package var transaction: Int64
    package var id: Int64

    package init(transaction: Int64, id: Int64) {
      self.transaction = transaction
      self.id = id
    }

    package init?(_ text: String) {
      let parts = text.split(separator: "-")
      guard parts.count == 2, let transaction = Int64(parts[0]), let id = Int64(parts[1]) else { return nil }
      self.init(transaction: transaction, id: id)
    }

    package var text: String { "\(transaction)-\(id)" }

    package static func < (left: Position, right: Position) -> Bool {
      (left.transaction, left.id) < (right.transaction, right.id)
    }
  }

  private struct Stored {
    var position: Position
    var site: Int64
    var event: ServerSentEvent
  }

  /// A channel lives as long as somebody watches; who comes back later is served from the outbox.
  private struct Watched {
    weak var channel: EventChannel?
  }

  private struct State {
    var channels: [Int64: Watched] = [:]
    /// How far the outbox was read; nil while nobody watches.
    var position: Position?

    mutating func forgetUnwatched() {
      channels = channels.filter { $0.value.channel != nil }
      if channels.isEmpty { position = nil }
    }
  }

  package let name = "events"
  /// The site of events that belong to none; every watcher hears of them.
  private static let hostSite: Int64 = 0
  private static let pageSize = 1_000
  /// How many old events a client that was away gets at most; more than that and it loads its state anew.
  private static let catchUpLimit = 2_000

  private let pool: Pool
  private let pollInterval: Duration
  private let logger: Logger
  private let state = Mutex(State())

  /// - Parameter pollInterval: how often the outbox is looked at while nobody says that there is something.
  package init(pool: Pool, pollInterval: Duration = .milliseconds(100), logger: Logger) {
    self.pool = pool
    self.pollInterval = pollInterval
    self.logger = logger
  }

  /// The live channel of a site; the hub does not keep it.
  package func channel(for site: Int64) -> EventChannel {
    state.withLock { state in
      if let channel = state.channels[site]?.channel { return channel }
      let channel = EventChannel()
      state.channels[site] = Watched(channel: channel)
      return channel
    }
  }

  /// How many sites are watched on this host.
  package var watchedSites: Int {
    state.withLock { state in
      state.forgetUnwatched()
      return state.channels.count
    }
  }

  /// Tells the watchers on this host of a step that is not worth a row; it has no id and is not repeated.
  package func hint(site: Int64, kind: String, data: String) {
    state.withLock { $0.channels[site]?.channel }?.publish(ServerSentEvent(event: kind, data: data))
  }

  /// The stream of a site for a client that last saw `lastEventID`.
  package func stream(site: Int64, lastEventID: String?) async throws -> HTTPResponse {
    let channel = channel(for: site)
    // From here on the outbox is followed: what commits later reaches the channel.
    try await startFollowing()
    // The place in the channel is taken first: an event between the two reads comes twice rather than never.
    let start = channel.end
    guard let lastEventID, let from = Position(lastEventID) else {
      return .events(channel, from: start, prelude: lastEventID == nil ? [] : [.gap])
    }
    let missed = try await load(after: from, site: site, limit: Self.catchUpLimit + 1)
    let isWhole = try await isKept(from)
    guard isWhole, missed.count <= Self.catchUpLimit else { return .events(channel, from: start, prelude: [.gap]) }
    return .events(channel, from: start, prelude: missed.map(\.event))
  }

  package func run() async throws {
    await withDiscardingTaskGroup { group in
      group.addTask { await self.follow() }
      await Shutdown.current.requested()
      group.cancelAll()
    }
  }

  private func follow() async {
    while !Task.isCancelled {
      do {
        if try await step() == Self.pageSize { continue }
      } catch {
        logger.warning("The outbox could not be read", ["error": "\(error)"])
      }
      // The only error is the end of this task.
      try? await Task.sleep(for: pollInterval)
    }
  }

  /// Reads one page and publishes it; answers how many events there were.
  private func step() async throws -> Int {
    // With nobody watching there is nobody to read for; the first watcher sets the position.
    let watched = state.withLock { state in
      state.forgetUnwatched()
      return state.position
    }
    guard let from = watched else { return 0 }
    let events = try await load(after: from, site: nil, limit: Self.pageSize)
    guard let last = events.last else { return 0 }
    let channels = state.withLock { $0.channels.compactMapValues(\.channel) }
    for (site, channel) in channels {
      let group = events.filter { $0.site == site || $0.site == Self.hostSite }
      if !group.isEmpty { channel.publish(group.map(\.event)) }
    }
    // Unless everybody left meanwhile and somebody new came, who follows from a place of their own.
    state.withLock { state in
      if state.position == from { state.position = last.position }
    }
    return events.count
  }

  /// Sets the position when nobody has watched before.
  private func startFollowing() async throws {
    guard state.withLock({ $0.position == nil }) else { return }
    let start = try await newest()
    state.withLock { $0.position = $0.position ?? start }
  }

  /// The place before which everything is over.
  private func newest() async throws -> Position {
    let rows = try await pool.query(
      "SELECT (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint - 1 AS transaction"
    )
    return Position(transaction: try rows.first?.get("transaction", as: Int64.self) ?? 0, id: Int64.max)
  }

  /// Whether everything after the event is still there: the oldest are removed first. Zero stands before all events.
  ///
  /// Asked after the events were read, so that nothing is removed between the two without being noticed.
  private func isKept(_ position: Position) async throws -> Bool {
    if position.transaction == 0 { return true }
    let rows = try await pool.query(
      "SELECT FROM outbox WHERE xid = (\(String(position.transaction)))::xid8 AND id = \(position.id)"
    )
    return !rows.isEmpty
  }

  private func load(after from: Position, site: Int64?, limit: Int) async throws -> [Stored] {
    try await pool.query(
      """
      SELECT id, (xid::text)::bigint AS transaction, site_id, kind, data::text AS data FROM outbox
      WHERE (xid, id) > ((\(String(from.transaction)))::xid8, \(from.id))
        AND xid < pg_snapshot_xmin(pg_current_snapshot())
        AND (\(site)::bigint IS NULL OR site_id = \(site) OR site_id = \(Self.hostSite))
      ORDER BY xid, id LIMIT \(limit)
      """
    ).map { row in
      let position = Position(transaction: try row.get("transaction"), id: try row.get("id"))
      return Stored(
        position: position,
        site: try row.get("site_id"),
        event: ServerSentEvent(id: position.text, event: try row.get("kind"), data: try row.get("data"))
      )
    }
  }
}
