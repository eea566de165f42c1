internal import FoundationEssentials
internal import Logging
internal import Postgres
internal import ServiceTree
internal import Synchronization

extension JobQueue {
  /// The key of the session lock that a live node holds.
  var lockKey: Int64 {
    let bytes = nodeEpoch.uuid
    return [bytes.0, bytes.1, bytes.2, bytes.3, bytes.4, bytes.5, bytes.6, bytes.7]
      .reduce(0) { $0 << 8 | Int64($1) }
  }

  /// Registers the node and keeps its heartbeat and its lock until the last handler has ended.
  func runNode(_ shutdown: Shutdown) async {
    let session = Session(database, logger: logger)
    var isKnown = false
    var failures = 0
    repeat {
      do {
        if isKnown { isKnown = try await beat(on: session) }
        if !isKnown {
          try await register(on: session)
          isKnown = true
          Startup.current.finish()
          claimWake.raise()
        }
        failures = 0
      } catch {
        isKnown = false
        failures += 1
        logger.warning("The node's heartbeat failed", ["error": .error(error), "attempt": failures])
        guard await shutdown.sleep(for: min(settings.heartbeatInterval, .milliseconds(100) * failures)) else { break }
        continue
      }
    } while await shutdown.sleep(for: timeUntilBeat)
    await session.close()
  }

  /// A heartbeat counts from its beginning, so one that took long is followed by the next at once: until then nothing
  /// is claimed or sent.
  private var timeUntilBeat: Duration {
    let last = state.withLock(\.lastHeartbeat) ?? clock.now
    return max(.zero, settings.heartbeatInterval - (clock.now - last))
  }

  /// Takes the lock first: a row without a lock would look like a dead node.
  private func register(on session: Session) async throws {
    try await session.connect()
    let now = clock.now
    // The lock of a lost connection of this very node may live a moment longer.
    try await session.execute("SELECT pg_advisory_lock(\(lockKey))")
    try await session.execute(
      """
      INSERT INTO nodes (node_epoch, home, adv_key) VALUES (\(nodeEpoch), \(settings.home), \(lockKey))
      ON CONFLICT (node_epoch) DO UPDATE SET heartbeat_at = clock_timestamp()
      """
    )
    state.withLock { state in
      state.lastHeartbeat = now
      // While the node was away others may have taken its leases, and it may have lost answers.
      state.mustRecover = true
      // Until the first count there may be peers.
      state.peers = max(state.peers, 1)
    }
    _ = try await beat(on: session)
  }

  /// Writes the heartbeat; returns false when another node took this one for dead.
  private func beat(on session: Session) async throws -> Bool {
    let now = clock.now
    let rows = try await session.query(
      """
      UPDATE nodes n SET heartbeat_at = clock_timestamp() WHERE n.node_epoch = \(nodeEpoch)
      RETURNING (SELECT count(*) FROM nodes) AS nodes
      """
    )
    guard let row = rows.first else {
      logger.error("Another node took this one for dead; registering again")
      return false
    }
    let nodes = try row.get("nodes", as: Int64.self)
    let wasOld = state.withLock { state in
      defer {
        state.lastHeartbeat = now
        state.peers = max(0, Int(nodes) - 1)
      }
      return state.lastHeartbeat.map { clock.now - $0 >= settings.heartbeatLimit } ?? true
    }
    if wasOld { claimWake.raise() }
    return true
  }

  // MARK: Rescue

  /// Looks for dead peers and takes over what they held.
  func runRescue(_ shutdown: Shutdown) async {
    var suspects: Set<UUID> = []
    while await shutdown.sleep(for: settings.rescueInterval) {
      do {
        suspects = try await rescue(suspects)
      } catch {
        logger.warning("Looking for dead nodes failed", ["error": .error(error)])
        suspects = []
      }
    }
  }

  private struct Peer {
    let epoch: UUID
    let isStale: Bool
    let holder: Int32?
  }

  /// Rescues peers that were seen without a lock twice, or whose heartbeat is old; returns the new suspects.
  ///
  /// One look is not enough: a node whose connection was cut takes its lock again at once.
  func rescue(_ suspects: Set<UUID>) async throws -> Set<UUID> {
    let rows = try await pool.query(
      """
      SELECT n.node_epoch, n.heartbeat_at < clock_timestamp() - \(settings.deadAfter.seconds) * interval '1 s' AS stale,
        clock_timestamp() > pg_postmaster_start_time() + \(settings.serverStartGrace.seconds) * interval '1 s' AS settled,
        (SELECT l.pid FROM pg_locks l
          WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
            AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
            AND l.classid::bigint = (n.adv_key >> 32) & 4294967295 AND l.objid::bigint = n.adv_key & 4294967295
          LIMIT 1) AS holder
      FROM nodes n WHERE n.node_epoch <> \(nodeEpoch)
      """
    )
    var next: Set<UUID> = []
    for row in rows {
      let peer = Peer(epoch: try row.get("node_epoch"), isStale: try row.get("stale"), holder: try row.get("holder"))
      if peer.isStale {
        // Hung or cut off. Its fences protect what it may still try; its session must not hold locks for ever.
        if let holder = peer.holder { try await pool.execute("SELECT pg_terminate_backend(\(holder))") }
        try await takeOver(peer)
      } else if peer.holder == nil, try row.get("settled", as: Bool.self) {
        if suspects.contains(peer.epoch) { try await takeOver(peer) }
        next.insert(peer.epoch)
      }
    }
    return next
  }

  /// Returns the peer's untouched jobs to their lanes; with an old heartbeat its commits become unknown too.
  private func takeOver(_ peer: Peer) async throws {
    let rows = try await pool.query(
      """
      SELECT l.job_id, l.fence, l.phase FROM leases l
      WHERE l.node_epoch = \(peer.epoch) AND l.check_at IS NULL ORDER BY l.job_id LIMIT 5000
      """
    )
    var rescued = 0
    for chunk in stride(from: 0, to: rows.count, by: 500) {
      let operations = try rows[chunk..<min(chunk + 500, rows.count)].compactMap { row -> SettleOperation? in
        let isUntouched = try row.get("phase", as: Int16.self) == 1
        guard isUntouched || peer.isStale else { return nil }
        return SettleOperation(
          lease: Lease(jobID: try row.get("job_id"), fence: try row.get("fence"), nodeEpoch: peer.epoch),
          way: isUntouched ? .released : .unknown,
          delay: settings.rescueCheckDelay,
          hooks: hooks
        )
      }
      guard !operations.isEmpty else { continue }
      let statement = SettleOperation.statement(for: operations)
      // A frozen peer's open transaction may hold a lease; the next look tries again.
      let answers = try await pool.batch(["SET LOCAL lock_timeout = '2s'", statement])
      rescued += answers[1].count
    }
    metrics.update { $0.rescued += rescued }
    if rescued > 0 {
      logger.notice("Took over the jobs of a dead node", ["node": peer.epoch.uuidString, "jobs": rescued])
      claimWake.raise()
      notifyWake.raise()
    }
    try await pool.execute(
      """
      DELETE FROM nodes n WHERE n.node_epoch = \(peer.epoch)
        AND NOT EXISTS (SELECT FROM leases l WHERE l.node_epoch = n.node_epoch AND l.check_at IS NULL)
      """
    )
  }
}
