package import Postgres
import Synchronization

/// Knows which credentials are revoked, a second late at most: whoever uses credentials asks it each time.
///
/// It asks the database when somebody asks it, once for all who do at the same time, and says nothing from memory that
/// is older. So a revocation needs to reach no host to take effect on all, and a host that can not ask uses none.
package final class RevocationBoard: Sendable {
  /// The newest revocation of each scope.
  private struct Seen {
    /// When the read began.
    let at: ContinuousClock.Instant
    var all: Int64 = 0
    var connections: [Int64: Int64] = [:]
    var sites: [Int64: Int64] = [:]
    var platforms: [String: Int64] = [:]

    func newest(for account: Account) -> Int64 {
      max(
        all,
        connections[account.connectionID] ?? 0,
        sites[account.siteID] ?? 0,
        platforms[account.platform] ?? 0
      )
    }
  }

  private struct State {
    var seen: Seen?
    var running: Task<Result<Seen, PostgresError>, Never>?
  }

  /// How old an answer may be.
  static let lifetime: Duration = .seconds(1)
  /// From which age on the next read is begun while the present answer is given, so that busy hosts never wait.
  private static let refresh: Duration = .milliseconds(250)
  private static let patience: Duration = .seconds(10)

  private let pool: Pool
  private let clock = ContinuousClock()
  private let state = Mutex(State())

  package init(pool: Pool) {
    self.pool = pool
  }

  /// Whether the account's credentials were revoked after they were entered.
  ///
  /// - Throws: when the database can not be asked.
  func isRevoked(_ account: Account) async throws(PostgresError) -> Bool {
    try await current().newest(for: account) > account.credentialEpoch
  }

  /// The number of the newest revocation of all; credentials entered after this call count from it.
  func epoch() async throws(PostgresError) -> Int64 {
    let rows = try await pool.query("SELECT coalesce(max(id), 0) FROM vault_revocations")
    return try rows.first?.get(0) ?? 0
  }

  private func current() async throws(PostgresError) -> Seen {
    let deadline = clock.now + Self.patience
    while clock.now < deadline {
      let (fresh, task) = state.withLock { state -> (Seen?, Task<Result<Seen, PostgresError>, Never>?) in
        let age = state.seen.map { clock.now - $0.at } ?? .seconds(3600)
        if age < Self.refresh { return (state.seen, nil) }
        // Owned by every caller that waits for it; a task of its own, because one caller's end must not end the others.
        let task = state.running ?? Task { await self.read() }
        state.running = task
        return (age < Self.lifetime ? state.seen : nil, task)
      }
      if let fresh { return fresh }
      // A read that was begun before this call may be too old by its end; then there is another one.
      guard let task else { continue }
      let seen = try await task.value.get()
      if clock.now - seen.at < Self.lifetime { return seen }
    }
    throw PostgresError(.timeout, "the database is too slow to ask it about revoked credentials")
  }

  private func read() async -> Result<Seen, PostgresError> {
    var seen = Seen(at: clock.now)
    let result: Result<Seen, PostgresError>
    do throws(PostgresError) {
      let rows = try await pool.query(
        "SELECT scope, subject, max(id) AS id FROM vault_revocations GROUP BY scope, subject"
      )
      for row in rows {
        let id: Int64 = try row.get("id")
        switch Revocation.Scope(kind: try row.get("scope"), subject: try row.get("subject")) {
        case .connection(let connection): seen.connections[connection] = id
        case .site(let site): seen.sites[site] = id
        case .platform(let platform): seen.platforms[platform] = id
        case .all, nil: seen.all = max(seen.all, id)
        }
      }
      result = .success(seen)
    } catch {
      result = .failure(error)
    }
    state.withLock { state in
      state.running = nil
      if case .success(let seen) = result { state.seen = seen }
    }
    return result
  }
}
