/// Decides when events of a stream go to the plugin: together, and never more than it has room for.
///
/// Pure, under a clock of the caller's.
struct EventFlow: Sendable {
  typealias Instant = ContinuousClock.Instant

  /// One message to the plugin.
  struct Batch: Equatable, Sendable {
    var sequence: Int64
    var events: [ServerSentEvent]
    /// Whether the last event goes on in the next batch.
    var isPart = false
  }

  static let delay: Duration = .milliseconds(20)
  static let batchBytes = 16 << 10
  static let initialEvents = 64
  static let initialBytes = 256 << 10
  /// Credit never adds up to more than this.
  static let maximumEvents = 1_024
  static let maximumBytes = 4 << 20
  /// Longest text of one event in one message; more is cut, so that a frame always fits.
  static let partBytes = 128 << 10

  private(set) var eventCredit = initialEvents
  private(set) var byteCredit = initialBytes
  private var waiting: [ServerSentEvent] = []
  private var next = 0
  private(set) var waitingBytes = 0
  private var firstWaitingSince: Instant?
  private var sequence: Int64 = 0

  /// Whether reading should stop until the plugin has taken something.
  var isFull: Bool { waitingBytes >= Self.initialBytes }
  var isEmpty: Bool { next == waiting.count }

  /// When what waits is due, nil if nothing waits or there is no credit for it.
  var dueAt: Instant? {
    guard !isEmpty, hasCredit else { return nil }
    return waitingBytes >= Self.batchBytes ? firstWaitingSince : firstWaitingSince?.advanced(by: Self.delay)
  }

  private var hasCredit: Bool { eventCredit > 0 && byteCredit > 0 }

  mutating func add(_ events: [ServerSentEvent], at now: Instant) {
    guard !events.isEmpty else { return }
    if isEmpty { firstWaitingSince = now }
    waiting.append(contentsOf: events)
    waitingBytes += events.reduce(0) { $0 + $1.cost }
  }

  /// Forgets what waits.
  mutating func drop() {
    waiting = []
    next = 0
    waitingBytes = 0
    firstWaitingSince = nil
  }

  /// Adds room; negative numbers count as none.
  mutating func grant(events: Int, bytes: Int) {
    eventCredit = min(Self.maximumEvents, eventCredit + min(max(events, 0), Self.maximumEvents))
    byteCredit = min(Self.maximumBytes, byteCredit + min(max(bytes, 0), Self.maximumBytes))
  }

  /// Takes what is due now.
  ///
  /// - Parameter all: Whether the end of the stream makes everything due that there is credit for.
  mutating func take(at now: Instant, all: Bool = false) -> [Batch] {
    var batches: [Batch] = []
    while let due = dueAt, all || due <= now {
      let batch = cut()
      batches.append(batch)
      if isEmpty {
        waiting.removeAll(keepingCapacity: true)
        next = 0
        firstWaitingSince = nil
      } else {
        firstWaitingSince = now
      }
    }
    return batches
  }

  /// Numbers a message without events, such as the end.
  mutating func nextSequence() -> Int64 {
    sequence += 1
    return sequence
  }

  private mutating func cut() -> Batch {
    var batch = Batch(sequence: nextSequence(), events: [])
    var bytes = 0
    while !isEmpty, hasCredit, bytes < Self.batchBytes {
      var event = waiting[next]
      if event.data.utf8.count > Self.partBytes {
        guard batch.events.isEmpty else { break }
        let (head, tail) = Self.split(event.data)
        waiting[next].data = tail
        event.data = head
        batch.isPart = true
      } else {
        next += 1
      }
      let cost = batch.isPart ? event.data.utf8.count : event.cost
      bytes += cost
      waitingBytes -= cost
      byteCredit -= cost
      if !batch.isPart { eventCredit -= 1 }
      batch.events.append(event)
      if batch.isPart { break }
    }
    return batch
  }

  private static func split(_ text: String) -> (String, String) {
    var end = text.utf8.index(text.startIndex, offsetBy: partBytes)
    while end > text.startIndex, end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
    return (String(text[..<end]), String(text[end...]))
  }
}
