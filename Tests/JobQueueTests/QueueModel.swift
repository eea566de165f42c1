import FoundationEssentials

@testable import JobQueue

/// The queue as it should be, in memory: no locks, no SQL, one thing after the other.
struct QueueModel {
  enum Place: Hashable {
    case waiting
    case ready
    case parked
    case claimed
    case committing
    /// The outcome is unknown; `isTaken` while a node checks.
    case unknown(isTaken: Bool)
    case failed
  }

  struct Job {
    let lane: Int64
    let group: Int64?
    let priority: Int16
    var due: Date
    var place = Place.waiting
    var attempts = 0
    var isLive = false
    var isStopped = false

    var isLeased: Bool {
      switch place {
      case .claimed, .committing, .unknown: true
      case .waiting, .ready, .parked, .failed: false
      }
    }
  }

  struct Lane {
    var cap: Int
    var isPaused = false
  }

  struct Group {
    var isPaused = false
    var isCanceled = false
  }

  /// Jobs that are there; a finished or dropped one is gone.
  var jobs: [Int64: Job] = [:]
  var lanes: [Int64: Lane] = [:]
  var groups: [Int64: Group] = [:]

  func ids(_ condition: (Job) -> Bool) -> [Int64] {
    jobs.filter { condition($0.value) }.keys.sorted()
  }

  // MARK: Moves

  mutating func promote(now: Date) {
    for id in ids({ $0.place == .waiting && $0.due <= now }) {
      guard let job = jobs[id] else { continue }
      let group = job.group.flatMap { groups[$0] }
      if !job.isLive, group?.isCanceled == true {
        jobs[id] = nil
      } else if !job.isLive, group?.isPaused == true {
        jobs[id]?.place = .parked
      } else {
        jobs[id]?.place = .ready
      }
    }
  }

  /// Claims what every lane allows; answers with the jobs of each lane in their order.
  ///
  /// A job that came back to its lane while its group was stopped is claimed too, and refused at once.
  mutating func claim() -> [Int64: [Int64]] {
    var claimed: [Int64: [Int64]] = [:]
    for (lane, limits) in lanes where !limits.isPaused {
      let free = limits.cap - ids { $0.lane == lane && $0.isLeased }.count
      let queue = jobs.filter { $0.value.lane == lane && $0.value.place == .ready }
        .sorted { ($0.value.priority, $0.value.due, $0.key) < ($1.value.priority, $1.value.due, $1.key) }
      for (id, job) in queue.prefix(max(0, free)) {
        let group = job.group.flatMap { groups[$0] }
        if !job.isLive, group?.isPaused == true || group?.isCanceled == true {
          jobs[id]?.place = .waiting
          continue
        }
        jobs[id]?.place = .claimed
        jobs[id]?.attempts += 1
        claimed[lane, default: []].append(id)
      }
    }
    return claimed
  }

  /// Whether a commit of the job may start now.
  mutating func start(_ id: Int64) -> Bool {
    guard let job = jobs[id], job.isLeased else { return false }
    let group = job.group.flatMap { groups[$0] }
    let isHeld = group?.isPaused == true || group?.isCanceled == true || lanes[job.lane]?.isPaused == true
    guard job.isLive || !job.isStopped && !isHeld else { return false }
    if job.place == .claimed { jobs[id]?.place = .committing }
    return true
  }

  /// Ends or changes a lease; answers what became of it, nil when the lease does not allow it.
  mutating func settle(_ id: Int64, _ way: SettleOperation.Way, now: Date) -> SettleOperation.Way? {
    guard let job = jobs[id], job.isLeased else { return nil }
    var way = way
    switch way {
    case .released where job.place != .claimed: return nil
    case .retriedOrUnknown: way = job.place == .claimed ? .retried : .unknown
    case .releasedOrUnknown: way = job.place == .claimed ? .released : .unknown
    default: break
    }
    let isCanceled = job.group.flatMap { groups[$0] }?.isCanceled == true
    let mayDrop = way == .refused || (job.isStopped && [.retried, .snoozed, .released].contains(way))
    if mayDrop, !job.isLive, isCanceled {
      way = .canceled
    }
    switch way {
    case .finished, .canceled: jobs[id] = nil
    case .failed: leave(id, to: .failed)
    case .retried: leave(id, to: .waiting, due: now)
    case .snoozed: leave(id, to: .waiting, due: now, countsAttempt: false)
    case .refused: leave(id, to: .waiting, countsAttempt: false)
    case .released: leave(id, to: .ready, countsAttempt: false)
    case .unknown: jobs[id]?.place = .unknown(isTaken: false)
    case .retriedOrUnknown, .releasedOrUnknown: break
    }
    return way
  }

  private mutating func leave(_ id: Int64, to place: Place, due: Date? = nil, countsAttempt: Bool = true) {
    jobs[id]?.place = place
    jobs[id]?.isStopped = false
    if place == .failed { jobs[id]?.isLive = false }
    if let due { jobs[id]?.due = due }
    if !countsAttempt { jobs[id]?.attempts -= 1 }
  }

  /// Takes over every job whose outcome is unknown.
  mutating func check() -> [Int64] {
    let taken = ids { $0.place == .unknown(isTaken: false) }
    for id in taken { jobs[id]?.place = .unknown(isTaken: true) }
    return taken
  }

  // MARK: Control

  mutating func pause(_ group: Int64) {
    groups[group]?.isPaused = true
    for id in ids({ $0.group == group && $0.place == .ready && !$0.isLive }) { jobs[id]?.place = .parked }
    stopLeases(of: group)
  }

  mutating func resume(_ group: Int64) {
    groups[group]?.isPaused = false
    for id in ids({ $0.group == group && $0.place == .parked }) { jobs[id]?.place = .waiting }
  }

  mutating func cancel(_ group: Int64) -> CancelResult {
    groups[group]?.isCanceled = true
    var result = CancelResult()
    for id in ids({ $0.group == group && [.waiting, .ready, .parked].contains($0.place) && !$0.isLive }) {
      jobs[id] = nil
      result.dropped += 1
    }
    stopLeases(of: group)
    result.dropped += ids { $0.group == group && $0.isStopped && $0.place == .claimed }.count
    result.alreadySending = ids { $0.group == group && $0.isLeased && ($0.place != .claimed || $0.isLive) }.count
    return result
  }

  private mutating func stopLeases(of group: Int64) {
    for id in ids({ $0.group == group && $0.place == .claimed && !$0.isLive }) { jobs[id]?.isStopped = true }
  }

  mutating func reschedule(_ ids: [Int64], to date: Date) -> Int {
    let waiting = ids.filter { jobs[$0]?.place == .waiting && jobs[$0]?.isLive == false }
    for id in waiting { jobs[id]?.due = date }
    return waiting.count
  }

  mutating func retryDeadLetter(_ id: Int64, now: Date) -> Bool {
    guard jobs[id]?.place == .failed else { return false }
    jobs[id]?.place = .waiting
    jobs[id]?.due = now
    jobs[id]?.attempts = 0
    return true
  }

  /// Where each job is, in a form that can be compared.
  var picture: [String] {
    jobs.map { id, job in
      let place =
        switch job.place {
        case .waiting: "waiting"
        case .ready: "ready"
        case .parked: "parked"
        case .claimed: "claimed"
        case .committing: "committing"
        case .unknown(let isTaken): isTaken ? "taken" : "unknown"
        case .failed: "failed"
        }
      return "\(id) \(place) \(job.attempts)\(job.isLive ? " live" : "")\(job.isStopped ? " stopped" : "")"
    }
    .sorted()
  }
}
