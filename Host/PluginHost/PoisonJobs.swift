/// Finds the jobs under which a plugin dies.
///
/// A job that was in flight when the process died is a suspect. Suspects run one at a time, so that the next death names
/// one of them and no bystander. The second death parks the job: this version is not asked to do it any more.
///
/// Kept in memory: another host, or this one after a restart, finds out anew.
struct PoisonJobs {
  enum Admission: Equatable {
    case go
    /// Another suspect is in flight.
    case wait
    case parked(reason: String)
  }

  /// Jobs that are remembered; the oldest are forgotten first.
  static let capacity = 4_096
  /// With so many deaths of a process under it, a job is parked.
  static let deathLimit = 2

  private struct Record {
    var deaths: Int
    var reason: String
    var isInFlight: Bool
  }

  private var records: [String: Record] = [:]
  private var order: [String] = []

  /// Whether nothing is known about any job, so that nobody needs to be asked.
  var isEmpty: Bool { records.isEmpty }

  /// Whether a process died under the job.
  func suspects(_ job: String) -> Bool { records[job] != nil }

  /// Asks to start a job; a suspect that may go is in flight until `noteEnd`.
  mutating func admit(_ job: String) -> Admission {
    guard let record = records[job] else { return .go }
    if record.deaths >= Self.deathLimit { return .parked(reason: record.reason) }
    if record.isInFlight || records.values.contains(where: \.isInFlight) { return .wait }
    records[job]?.isInFlight = true
    return .go
  }

  /// A job of a suspect ended while the process lived: it is no suspect any more.
  mutating func noteEnd(_ job: String) {
    guard let record = records[job], record.deaths < Self.deathLimit else { return }
    remove(job)
  }

  /// The job's call could not be opened, or ended in a way that says nothing about it.
  mutating func withdraw(_ job: String) {
    records[job]?.isInFlight = false
  }

  /// The process died under these jobs.
  ///
  /// - Returns: The jobs that are parked from now on.
  mutating func noteDeath(of jobs: Set<String>, reason: String) -> [String] {
    var parked: [String] = []
    for job in jobs.sorted() {
      if let record = records[job] {
        guard record.deaths < Self.deathLimit else { continue }
        let deaths = record.deaths + 1
        records[job] = Record(deaths: deaths, reason: reason, isInFlight: false)
        if deaths >= Self.deathLimit { parked.append(job) }
      } else {
        if records.count >= Self.capacity { remove(order[0]) }
        records[job] = Record(deaths: 1, reason: reason, isInFlight: false)
        order.append(job)
      }
    }
    return parked
  }

  private mutating func remove(_ job: String) {
    records[job] = nil
    order.removeAll { $0 == job }
  }
}
