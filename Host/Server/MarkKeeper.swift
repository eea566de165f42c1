internal import FoundationEssentials
internal import JobQueue
internal import Logging
internal import Postgres
internal import Publishing
internal import ServiceTree
internal import Synchronization

/// Examines the database after every connect, and writes down once a second how far it has come.
///
/// What it finds decides whether this node may send: the statement that begins a request names the server that was
/// examined here, and reads the hold that is begun here.
final class MarkKeeper: Service {
  let name = "high-water-mark"

  private struct State {
    /// Open while the server behind it is examined.
    var session: Session?
    var facts: DatabaseFacts?
    var wasExamined = false
    var isHeld = false
    var failures = 0
  }

  private let database: Postgres.Configuration
  private let home: String
  private let file: MarkFile
  private let store: HoldStore
  private let permit: SendPermit
  private let queue: JobQueue
  private let logger: Logger
  private let state = Mutex(State())

  private static let interval: Duration = .seconds(1)
  private static let retryInterval: Duration = .milliseconds(200)

  /// - Parameter database: Without a pooler between, for the examined server must be the one that is meant.
  init(
    database: Postgres.Configuration,
    home: String,
    file: MarkFile,
    store: HoldStore,
    permit: SendPermit,
    queue: JobQueue,
    logger: Logger
  ) {
    self.database = database
    self.home = home
    self.file = file
    self.store = store
    self.permit = permit
    self.queue = queue
    self.logger = logger
  }

  func run() async throws {
    while await Shutdown.current.sleep(for: state.withLock(\.failures) > 0 ? Self.retryInterval : Self.interval) {
      await round()
    }
    await state.withLock(\.session)?.close()
  }

  /// Looks once; until a look has succeeded nothing is sent.
  func round() async {
    do {
      let session = try await examinedSession()
      if let session { try await mark(session) }
      state.withLock { $0.failures = 0 }
    } catch {
      let (session, failures) = state.withLock { state in
        defer { state.session = nil }
        state.failures += 1
        return (state.session, state.failures)
      }
      await session?.close()
      // A database that is away is reported by everybody who uses it; ten seconds of it are worth a word of our own.
      if failures % 50 == 0 {
        logger.error("The database can not be examined, so nothing is sent", ["error": .error(error)])
      }
    }
  }

  // MARK: Examining

  private func examinedSession() async throws -> Session? {
    if let session = state.withLock(\.session) { return session }
    let session = Session(database, logger: logger)
    do {
      try await session.connect()
      guard try await examine(session) else {
        await session.close()
        return nil
      }
    } catch {
      await session.close()
      throw error
    }
    state.withLock { $0.session = session }
    return session
  }

  /// Compares the database with the mark of this home; returns whether the database takes writes.
  private func examine(_ session: Session) async throws -> Bool {
    guard let row = try await session.query(DatabaseFacts.statement).first else { return false }
    let facts = try DatabaseFacts(row: row)
    let mark = try await file.read()
    let isStart = state.withLock { !$0.wasExamined }
    switch HoldDecision(mark: mark, facts: facts, isStart: isStart) {
    case .notReady:
      permit.examined(server: 0)
      return false
    case .proceed:
      if facts.record?.timeline != facts.timeline { try await session.execute(HoldStore.record) }
    case .hold(let cause, let reason):
      let knownUntil = [facts.knownUntil, mark?.at].compactMap(\.self).min()
      try await store.begin(cause, reason: reason, home: home, knownUntil: knownUntil)
    }
    state.withLock { state in
      state.facts = facts
      state.wasExamined = true
    }
    permit.examined(server: facts.startedAt)
    return true
  }

  // MARK: Marking

  private func mark(_ session: Session) async throws {
    let answers = try await session.batch([NodeMark.statement(home: home), HoldStore.currentStatement])
    let hold = try answers[1].first.map(HoldStore.hold)
    try await follow(hold)
    guard hold == nil, let row = answers[0].first, let facts = state.withLock(\.facts) else { return }
    try await file.write(try NodeMark.mark(row, facts: facts))
  }

  private func follow(_ hold: Hold?) async throws {
    let wasHeld = state.withLock { state in
      defer { state.isHeld = hold != nil }
      return state.isHeld
    }
    permit.hold(hold != nil)
    queue.hold(hold == nil ? [] : [DeliveryHandler.kind])
    if let hold {
      if !wasHeld {
        logger.error(
          "The installation is on hold: nothing is sent",
          ["cause": "\(hold.cause)", "reason": "\(hold.reason)", "advice": "\(Hold.advice)"]
        )
      }
      try await store.doubt()
      try await store.look(queue)
    } else if wasHeld {
      logger.notice("The hold has ended; what is due is sent")
      queue.wake()
    }
  }
}

/// The row of a home in `node_marks`.
private enum NodeMark {
  /// Its answer is on the server's disk, and so is everything before it.
  static func statement(home: String) -> SQL {
    """
    INSERT INTO node_marks AS m (home, timeline, flushed, fence)
    SELECT \(home), \(fragment: ServerExpression.timeline), \(fragment: ServerExpression.flushed), s.last_value
    FROM lease_fences s WHERE NOT EXISTS (SELECT FROM holds h WHERE h.ended_at IS NULL)
    ON CONFLICT (home) DO UPDATE SET timeline = excluded.timeline, flushed = excluded.flushed, fence = excluded.fence,
      marked_at = clock_timestamp()
    RETURNING m.timeline, m.flushed, m.fence, m.marked_at,
      current_setting('synchronous_standby_names') <> ''
        AND current_setting('synchronous_commit') IN ('on', 'remote_apply') AS synchronous
    """
  }

  static func mark(_ row: Row, facts: DatabaseFacts) throws -> HighWaterMark {
    HighWaterMark(
      installation: facts.installation,
      system: facts.identity.system,
      database: facts.identity.database,
      timeline: try row.get("timeline"),
      flushed: try row.get("flushed"),
      fence: try row.get("fence"),
      isSynchronous: try row.get("synchronous"),
      at: try row.get("marked_at")
    )
  }
}
