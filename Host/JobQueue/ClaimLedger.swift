/// Decides when and how much a node claims, and which site comes first.
///
/// A pure value: the queue feeds it with what happened.
struct ClaimLedger: Sendable {
  struct Request: Hashable, Sendable {
    var count: Int
    /// Lanes for each site in one round, times the site's weight, and jobs for each lane.
    var quantum: Int
    /// The rotation starts behind this site.
    var afterSite: Int64
  }

  /// Handlers that may run at the same time.
  let slots: Int
  /// Jobs claimed beyond the slots, so that a free slot need not wait for the next claim.
  let ahead: Int
  /// Jobs that were claimed and whose handler has not ended.
  private(set) var held = 0
  private var quantum = 1
  private var afterSite: Int64 = .min
  /// Claims in a row that found lanes and no job.
  private var emptyClaims = 0
  /// A lane whose pool another node holds looks the same and must not be asked for without end.
  private static let maximumEmptyClaims = 2

  init(slots: Int) {
    self.slots = max(1, slots)
    ahead = self.slots / 2
  }

  /// What to claim now; nil while less than a quarter of the slots is free.
  var request: Request? {
    let free = slots + ahead - held
    guard free >= max(1, slots / 4) else { return nil }
    return Request(count: free, quantum: quantum, afterSite: afterSite)
  }

  /// Jobs came in, from a claim or a check.
  mutating func took(_ count: Int) {
    held += count
  }

  /// Handlers ended, or jobs were given back without one.
  mutating func freed(_ count: Int = 1) {
    held = max(0, held - count)
  }

  /// Learns from an answer; returns whether there is probably more to claim at once.
  ///
  /// The quantum doubles while claims stay small although lanes were found, and halves when several sites compete for
  /// a full claim. So one site alone gets everything, and many get even shares.
  mutating func learned(_ request: Request, jobs: Int, lanes: Int, sites: Int, lastSite: Int64?) -> Bool {
    if let lastSite { afterSite = lastSite }
    guard lanes > 0 else { return false }
    guard jobs > 0 else {
      // Another node took the jobs between this claim's snapshot and its locks; the next snapshot sees what is left.
      emptyClaims += 1
      guard emptyClaims > Self.maximumEmptyClaims else { return true }
      emptyClaims = 0
      return false
    }
    emptyClaims = 0
    if jobs >= request.count || lanes >= request.count {
      if sites > 1 { quantum = max(1, quantum / 2) }
      return true
    }
    // Some site or lane may have been cut off by the quantum.
    let mayBeCut = lanes >= request.quantum || jobs >= request.quantum
    if mayBeCut, quantum < slots + ahead { quantum = min(slots + ahead, quantum * 2) }
    return mayBeCut
  }
}
