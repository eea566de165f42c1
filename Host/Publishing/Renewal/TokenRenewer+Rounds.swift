import Cryptography
import FoundationEssentials
import Logging
import Postgres
import Vault

extension TokenRenewer {
  // MARK: Answers that wait

  /// Stores the answers that wait on this host's disk for the database; answers how many brought newer credentials.
  ///
  /// Call it at the start and every second or so: the sooner, the less is asked again.
  @discardableResult
  package func replay(_ connection: Int64? = nil) async throws -> Int {
    var count = 0
    for spooled in try await spool.tokens(of: connection) {
      do {
        if try await replay(spooled) { count += 1 }
      } catch let error as VaultError where error == .unreadable {
        // Left where it is: only the key it was sealed with can open it.
        logger.fault("A kept answer can not be opened", ["connection": .int(spooled.connection)])
      }
    }
    return count
  }

  private func replay(_ spooled: RenewedToken) async throws -> Bool {
    guard let line = try await store.line(spooled.connection) else { return false }
    let isFollowing = line.facts.generation == spooled.generation - 1
    var isStored = false
    if isFollowing || !line.isConnected {
      let plain = try await accounts.vault.open(
        stored: spooled.sealed,
        keyID: spooled.keyID,
        for: spooled.context(.spoolRecord)
      )
      let sealer = try await accounts.vault.sealer(site: spooled.site)
      let token = try spooled.sealed(plain, by: sealer, as: .tokens)
      isStored = isFollowing ? try await store.store(token, fence: nil) : false
      if !isStored { try await lose(token, line) }
    }
    try await spool.remove(spooled)
    if isStored {
      accounts.forget(spooled.connection)
      logger.notice("Stored renewed credentials that had waited", ["connection": .int(spooled.connection)])
    }
    return isStored
  }

  // MARK: What is due

  /// Renews everything whose time has come, some at a time.
  package func round() async throws {
    var last: (at: Date, id: Int64)?
    while true {
      let page = try await store.due(after: last, limit: settings.page)
      guard let end = page.last else { return }
      last = (end.at, end.line.connection)
      var queues: [[(Int64, Int64)]] = Dictionary(grouping: page.map(\.line)) { "\($0.platform)/\($0.app ?? 0)" }
        .values.flatMap { lines in split(lines.map { ($0.connection, $0.facts.generation) }) }
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<min(settings.parallel, queues.count) { add(queues.removeLast(), to: &group) }
        while await group.next() != nil, let queue = queues.popLast() { add(queue, to: &group) }
      }
      if page.count < settings.page || Task.isCancelled { return }
    }
  }

  /// The same in as many parts as one application may have requests at a time.
  private func split(_ items: [(Int64, Int64)]) -> [[(Int64, Int64)]] {
    let size = max(1, (items.count + settings.parallelPerApp - 1) / settings.parallelPerApp)
    return stride(from: 0, to: items.count, by: size).map { Array(items[$0..<min($0 + size, items.count)]) }
  }

  private func add(_ items: [(Int64, Int64)], to group: inout TaskGroup<Void>) {
    group.addTask {
      for (connection, generation) in items where !Task.isCancelled {
        _ = await self.renew(connection, seen: generation, cause: .due)
      }
    }
  }
}
