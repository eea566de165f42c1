import Egress
import FoundationEssentials
import JSONText
import JobQueue
import Logging
import PluginManifest
import Postgres
import Synchronization
import Vault

/// The journal of one delivery attempt: the rules of ``JournalState`` made durable.
///
/// The order is always: decide, make the started row durable, send, make the outcome durable, answer the plugin.
final class DeliveryJournal: EffectJournal {
  private struct State {
    var journal: JournalState
    /// Written with the first started row of the run; nil once that happened.
    var inputs: RunInputs?
    /// Reads of this attempt by step, not yet written.
    var reads: [String: ReadRecord] = [:]
    /// Reads that an earlier attempt wrote: they answer again, so that a replay sees the same world.
    var keptReads: [String: EffectRecord] = [:]
    /// What this attempt captured; kept when the rows are read again, for they hold the same.
    var captures: [CaptureHandle: CapturedValue] = [:]
    /// The key and nonce of each request on its way, by ticket, and what seals its captures.
    var tickets: [Int64: (key: EffectKey, nonce: UUID, sealer: Sealer?)] = [:]
    var nextTicket: Int64 = 1
    var refusal: StartRefusal?
    var needsReconcile = false
    var hasLostDatabase = false
    /// Whether the running call only asks what happened: nothing but reads goes out, and none is answered from memory.
    var onlyLooks = false
    var lookupSentAt: Date?
  }

  /// The largest answer of a read that is kept for a replay.
  private static let keptReadLimit = 64 * 1024
  /// A started row whose COMMIT answer was lost is asked for and written again this often.
  private static let maximumLostAnswers = 5

  /// A request that took longer may have outlived its lease, in seconds: shorter than any lease is given up.
  private static let longRequest: TimeInterval = 5

  private let owner: Owner
  private let turns: Turns?
  private let tools: DeliveryTools
  private let state: Mutex<State>

  init(owner: Owner, records: [EffectRecord], inputs: RunInputs?, turns: Turns? = nil, tools: DeliveryTools) {
    self.owner = owner
    self.turns = turns
    self.tools = tools
    state = Mutex(Self.state(owner, records: records, inputs: inputs))
  }

  /// The journal as it stands.
  var current: JournalState { state.withLock(\.journal) }

  /// Why a request was not allowed to leave; nil while none was refused.
  var refusal: StartRefusal? { state.withLock(\.refusal) }

  /// Whether the plugin asked for something that only a reconciliation can settle.
  var needsReconcile: Bool { state.withLock(\.needsReconcile) }

  /// Whether a request could not be journaled because the database was away; nothing was sent for it.
  var hasLostDatabase: Bool { state.withLock(\.hasLostDatabase) }

  /// Notes that something else than the journal could not be read: the attempt ends without a judgement.
  func loseDatabase() {
    state.withLock { $0.hasLostDatabase = true }
  }

  /// When the last look-up was sent that the platform answered with success.
  var lookupSentAt: Date? { state.withLock(\.lookupSentAt) }

  /// Starts again from durable rows, after the plugin died or rows were closed.
  ///
  /// - Parameter onlyLooks: Whether the next call only asks the platform what happened.
  func reload(onlyLooks: Bool = false) async throws {
    let records = try await tools.store.records(of: owner.delivery)
    state.withLock { state in
      let captures = state.captures
      state = Self.state(owner, records: records, inputs: state.inputs)
      state.onlyLooks = onlyLooks
      state.captures = captures
    }
  }

  // MARK: Reads

  func replayRead(step: String, digest: String) async -> StoredAnswer? {
    let step = owner.scoped(step)
    let text = state.withLock { state -> String? in
      guard !state.onlyLooks, let record = state.keptReads[step], record.digest == digest else { return nil }
      // Once only: a plugin that polls under one step gets the kept answer first and the world afterwards.
      state.keptReads[step] = nil
      return record.answer
    }
    return text.flatMap { Self.stored($0) }
  }

  func recordRead(_ record: ReadRecord) async {
    state.withLock { state in
      if record.isLookup, (200..<300).contains(record.status) {
        state.lookupSentAt = max(state.lookupSentAt ?? record.sentAt, record.sentAt)
      }
      // A refused token is renewed; the refusal must not answer again.
      if !state.onlyLooks, record.status != 401, record.answer.count <= Self.keptReadLimit {
        state.reads[owner.scoped(record.step)] = record
      }
      for capture in record.captures { state.captures[capture.handle] = capture }
    }
  }

  // MARK: Captures

  func captured(_ handle: CaptureHandle) async throws -> CapturedValue? {
    if let known = state.withLock({ $0.captures[handle] }) { return known }
    let stored = CaptureHandle(step: owner.scoped(handle.step), name: handle.name)
    guard let (row, place) = try await tools.store.capture(stored, of: owner.delivery),
      let kind = CaptureClause.Kind(rawValue: row.kind)
    else { return nil }
    let value = try await tools.accounts.vault.open(
      stored: row.sealed,
      keyID: row.keyID,
      for: place.context(stored, kind: row.kind)
    )
    let captured = CapturedValue(handle: handle, kind: kind, value: value)
    state.withLock { $0.captures[handle] = captured }
    return captured
  }

  private func rows(_ captures: [CapturedValue], attempt: Int, _ sealer: Sealer) throws -> [CaptureRow] {
    let place = CapturePlace(site: owner.site, delivery: owner.delivery, run: owner.run, attempt: attempt)
    return try captures.map { capture in
      let handle = CaptureHandle(step: owner.scoped(capture.handle.step), name: capture.handle.name)
      let scoped = CapturedValue(handle: handle, kind: capture.kind, value: capture.value)
      return try CaptureRow(scoped, place: place, sealer: sealer)
    }
  }

  // MARK: Prepares and commits

  func begin(_ intent: EffectIntent) async throws -> EffectDecision {
    let now = Date()
    guard !state.withLock(\.onlyLooks) else {
      return .refuse(EgressError(.capabilityDenied, "This call may only look; the request was not sent"))
    }
    let decision = state.withLock { state -> ReplayDecision in
      let rule = EffectRule(intent.rule, effectClass: intent.effectClass)
      let decision = state.journal.decide(rule: rule, step: owner.scoped(intent.step), digest: intent.digest, at: now)
      // Noted before the row is durable, so that the attempt knows of every request that may leave.
      if case .send(let key) = decision { state.journal.started(record(intent, key: key, at: now)) }
      // An upload that may have arrived is not repeated either, but there is nothing public to look for.
      if decision == .reconcile, intent.effectClass == .commit { state.needsReconcile = true }
      return decision
    }
    switch decision {
    case .send(let key):
      let record = record(intent, key: key, at: now)
      if let wait = try await turn(for: record) {
        let message = "A limit of the account is used up for now; what is left of the post goes out later"
        return .refuse(EgressError(.rateLimited, message, retryAfter: wait))
      }
      return try await start(record, sealsCaptures: !intent.rule.captures.isEmpty)
    case .replay(let record):
      if record.effectClass == .commit, record.outcome == .accepted, record.closedBy != nil {
        return .replay(Self.confirmed(record))
      }
      if let answer = record.answer.flatMap({ Self.stored($0) }) { return .replay(answer) }
      // Answers are kept for a while only. That it happened, and under which id, stays known.
      if record.effectClass == .commit, record.outcome == .accepted, record.remoteID != nil {
        return .replay(Self.confirmed(record))
      }
      if record.outcome == .notSent { return .replay(.notSent) }
      if record.effectClass == .commit { state.withLock { $0.needsReconcile = true } }
      return .reconcile
    case .reconcile:
      return .reconcile
    case .busy:
      return .refuse(EgressError(.invalidParams, "This step is on its way already", field: "step"))
    }
  }

  func finish(_ ticket: EffectTicket, _ outcome: EffectOutcome) async {
    let started = state.withLock { state -> (EffectRecord, UUID, Sealer?)? in
      guard let (key, nonce, sealer) = state.tickets.removeValue(forKey: ticket.number),
        let record = state.journal.records.last(where: { $0.key == key })
      else { return nil }
      for capture in outcome.captures { state.captures[capture.handle] = capture }
      return (record, nonce, sealer)
    }
    guard let (startedRecord, nonce, sealer) = started else {
      tools.logger.fault("An outcome came for a request that was never started", ["delivery": .int(owner.delivery)])
      return
    }
    var record = startedRecord
    record.outcome = outcome.outcome
    record.status = outcome.status
    record.answer = outcome.answer?.text
    record.remoteID = outcome.remoteID.flatMap(PluginResult.remoteID)
    record.remoteURL = record.remoteID == nil ? nil : outcome.remoteURL
    record.sentAt = outcome.sentAt
    record.lastByteAt = outcome.lastByteAt
    record.platformDate = outcome.platformDate
    let age = Date().timeIntervalSince(record.startedAt)
    var effect = FinishEffect(delivery: owner.delivery, record: record, nonce: nonce)
    do {
      if let sealer { effect.captures = try rows(outcome.captures, attempt: record.key.attempt, sealer) }
    } catch {
      // The outcome counts more than what came with it: a later attempt does the step again.
      tools.logger.error(
        "What was captured from an answer could not be sealed",
        ["delivery": .int(owner.delivery), "rule": LogValue(record.rule)]
      )
    }
    CrashPoint.beforeStore.pass(record.effectClass)
    await store(effect, age: age)
    state.withLock { $0.journal.ended(record) }
    CrashPoint.beforeAnswer.pass(record.effectClass)
  }

  /// Makes an outcome durable: in the database, or while that is away in the spool.
  private func store(_ effect: FinishEffect, age: TimeInterval) async {
    do {
      _ = try await tools.effects.submit(effect)
      // Another node may have given the delivery up in the meantime; the outcome ends its doubt.
      if age > Self.longRequest { _ = try await tools.store.settleLate(owner.delivery) }
    } catch {
      tools.logger.warning(
        "The outcome of a request goes to the spool",
        ["delivery": .int(owner.delivery), "error": "\(error)"]
      )
      do {
        try await tools.spool.append(effect)
      } catch {
        tools.logger.fault(
          "The outcome of a request could not be kept",
          ["delivery": .int(owner.delivery), "error": "\(error)"]
        )
      }
    }
  }

  /// Takes the turn that a further post needs; returns how long to wait when there is none, then nothing may be sent.
  private func turn(for record: EffectRecord) async throws -> Duration? {
    guard let turns, record.effectClass == .commit, turns.watch.needsTurn(record.rule) else { return nil }
    do {
      if let wait = try await tools.lanes.takeTurn(of: turns.lane) {
        forget(record)
        return wait
      }
    } catch {
      forget(record)
      state.withLock { $0.hasLostDatabase = true }
      throw error
    }
    turns.watch.tookTurn()
    return nil
  }

  private func start(_ record: EffectRecord, sealsCaptures: Bool) async throws -> EffectDecision {
    let nonce = UUID()
    let (inputs, reads) = state.withLock { ($0.inputs, $0.reads) }
    let readCaptures = reads.values.flatMap(\.captures)
    let sealer: Sealer?
    var captureRows: [CaptureRow] = []
    do {
      // In hand before anything is sent, so that what comes back can be sealed even if the database is away by then.
      sealer = sealsCaptures || !readCaptures.isEmpty ? try await tools.accounts.vault.sealer(site: owner.site) : nil
      if let sealer { captureRows = try rows(readCaptures, attempt: 0, sealer) }
    } catch {
      forget(record)
      state.withLock { $0.hasLostDatabase = true }
      throw error
    }
    var operation = StartEffect(
      lease: owner.lease,
      site: owner.site,
      record: record,
      nonce: nonce,
      inputs: inputs,
      reads: reads.isEmpty ? nil : Self.text(of: reads)
    )
    operation.captures = captureRows
    operation.server = tools.permit.server
    do {
      if try await !submit(operation) {
        let refusal = try await tools.store.refusal(
          of: owner.delivery,
          fence: owner.lease.fence,
          server: operation.server
        )
        if refusal == .paused || refusal == .canceled, current.hasAcceptedCommit {
          // Something is out already: half a thread is worse than a whole one, so the delivery runs to its end.
          try await tools.store.markLive(owner.delivery)
          if try await submit(operation) { return send(record, nonce: nonce, sealer: sealer, reads: reads) }
        }
        state.withLock { $0.refusal = refusal }
        forget(record)
        return .refuse(EgressError(.cancelled, "The delivery may not send any more (\(refusal.rawValue))"))
      }
    } catch {
      forget(record)
      state.withLock { $0.hasLostDatabase = true }
      throw error
    }
    return send(record, nonce: nonce, sealer: sealer, reads: reads)
  }

  private func send(
    _ record: EffectRecord,
    nonce: UUID,
    sealer: Sealer?,
    reads: [String: ReadRecord]
  ) -> EffectDecision {
    let number = state.withLock { state in
      state.inputs = nil
      for (step, read) in reads where state.reads[step] == read { state.reads[step] = nil }
      defer { state.nextTicket += 1 }
      state.tickets[state.nextTicket] = (record.key, nonce, sealer)
      return state.nextTicket
    }
    CrashPoint.beforeSend.pass(record.effectClass)
    return .send(EffectTicket(number: number, sendBefore: tools.sendDeadline()))
  }

  /// Writes the started row. When the answer to COMMIT is lost, the row itself tells: it is looked up by its nonce.
  private func submit(_ operation: StartEffect) async throws -> Bool {
    var lostAnswers = 0
    while true {
      do {
        let isWritten = try await tools.effects.submit(operation)
        // The first try may have been committed only after it was looked for.
        if isWritten || lostAnswers == 0 { return isWritten }
        return try await isStarted(operation)
      } catch let error as PostgresError where error.isConnectionLost && lostAnswers < Self.maximumLostAnswers {
        lostAnswers += 1
        if try await isStarted(operation) { return true }
      }
    }
  }

  private func isStarted(_ operation: StartEffect) async throws -> Bool {
    try await tools.store.isStarted(
      nonce: operation.nonce,
      delivery: owner.delivery,
      fence: owner.lease.fence
    )
  }

  private func record(_ intent: EffectIntent, key: EffectKey, at now: Date) -> EffectRecord {
    EffectRecord(
      key: key,
      rule: intent.rule.name,
      effectClass: intent.effectClass,
      digest: intent.digest,
      claim: owner.lease.fence,
      startedAt: now
    )
  }

  /// A request that never got its started row: as if it had not been asked for.
  private func forget(_ record: EffectRecord) {
    state.withLock { $0.journal.withdrawn(record.key) }
  }

  private static func state(_ owner: Owner, records: [EffectRecord], inputs: RunInputs?) -> State {
    var kept: [String: EffectRecord] = [:]
    for record in records where record.effectClass == .read && record.key.run == owner.run && owner.knows(record) {
      kept[record.key.step] = record
    }
    return State(
      journal: JournalState(
        run: owner.run,
        claim: owner.lease.fence,
        records: records.filter { $0.effectClass != .read && owner.knows($0) }
      ),
      inputs: inputs,
      keptReads: kept
    )
  }
}
