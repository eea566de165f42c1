/// The open calls of one plugin process and the plugin's open requests; decides about time, sends nothing.
struct CallTable<Call> {
  typealias Instant = ContinuousClock.Instant

  /// How long the plugin may take to answer after `$/cancel`.
  static var cancelGrace: Duration { .seconds(2) }
  /// With so many calls unanswered past their time the plugin counts as stuck.
  static var stuckCalls: Int { 3 }
  /// Requests of the plugin that may be open.
  static var maximumRequests: Int { 1_024 }
  /// Requests of the plugin that may be open for one call.
  static var maximumRequestsPerCall: Int { 64 }
  /// Bytes of the plugin's open requests.
  static var maximumRequestBytes: Int { 8 << 20 }

  private struct Entry {
    let call: Call
    var expiry: Instant
    /// What the call fails with when the plugin does not react to its cancellation; nil while it was not cancelled.
    var pendingFailure: PluginFailure?
    var openRequests = 0
  }

  enum Answered {
    /// The call, and what it failed with if it was cancelled before.
    case open(Call, pendingFailure: PluginFailure?)
    /// The call was given up before; the answer is dropped.
    case late
    /// No such call was open.
    case unknown
  }

  enum Routed {
    case open(Call)
    /// The call is over.
    case finished
    /// There has never been such a call.
    case unknown
    /// Too many requests are open.
    case overloaded
    /// The plugin used the number of a request that is open.
    case duplicate
  }

  enum Expiry {
    /// Tell the plugin to give the call up.
    case cancel(Int64)
    case fail(Call, PluginFailure)

    /// Whether a call ended.
    var isEnd: Bool {
      if case .fail = self { true } else { false }
    }
  }

  private var entries: [Int64: Entry] = [:]
  private var abandoned: [Int64: Call] = [:]
  /// The plugin's open requests, the calls they belong to and their size.
  private var requests: [Int64: (call: Int64, bytes: Int)] = [:]
  private var requestBytes = 0
  private(set) var answered = 0
  private var highestNumber: Int64 = 0

  var count: Int { entries.count }

  /// Whether the plugin waits for an answer of the host.
  var hasOpenRequests: Bool { !requests.isEmpty }

  /// Whether so many calls are unanswered past their time that the process should be ended.
  var isStuck: Bool { abandoned.count >= Self.stuckCalls }

  /// The earliest moment at which `expire` has something to do.
  var nextExpiry: Instant? { entries.values.lazy.map(\.expiry).min() }

  mutating func open(_ number: Int64, _ call: Call, deadline: Instant) {
    entries[number] = Entry(call: call, expiry: deadline)
    highestNumber = max(highestNumber, number)
  }

  /// Takes out a call that could not be sent.
  mutating func withdraw(_ number: Int64) {
    entries[number] = nil
  }

  /// Takes out the call that the plugin has answered.
  mutating func answer(_ number: Int64) -> Answered {
    if let entry = entries.removeValue(forKey: number) {
      answered += 1
      return .open(entry.call, pendingFailure: entry.pendingFailure)
    }
    return abandoned.removeValue(forKey: number) == nil ? .unknown : .late
  }

  /// Finds the call that a request of the plugin belongs to.
  mutating func route(request id: Int64, call name: String, bytes: Int = 0) -> Routed {
    guard requests[id] == nil else { return .duplicate }
    guard let number = Self.number(of: name), number <= highestNumber else { return .unknown }
    guard let entry = entries[number] else { return .finished }
    guard requests.count < Self.maximumRequests, entry.openRequests < Self.maximumRequestsPerCall,
      requestBytes + bytes <= Self.maximumRequestBytes
    else { return .overloaded }
    entries[number]?.openRequests += 1
    requests[id] = (number, bytes)
    requestBytes += bytes
    return .open(entry.call)
  }

  /// Notes that a request of the plugin is being answered.
  ///
  /// - Returns: Whether it was open, so that it is answered once.
  mutating func close(request id: Int64) -> Bool {
    guard let request = requests.removeValue(forKey: id) else { return false }
    entries[request.call]?.openRequests -= 1
    requestBytes -= request.bytes
    return true
  }

  /// Gives a call up.
  ///
  /// - Returns: Whether the plugin must be told, and until when it may answer.
  mutating func cancel(_ number: Int64, failure: PluginFailure, now: Instant) -> Instant? {
    guard var entry = entries[number], entry.pendingFailure == nil else { return nil }
    entry.pendingFailure = failure
    entry.expiry = now + Self.cancelGrace
    entries[number] = entry
    return entry.expiry
  }

  /// Moves on the calls whose time is over.
  mutating func expire(now: Instant) -> [Expiry] {
    var expiries: [Expiry] = []
    for (number, entry) in entries where entry.expiry <= now {
      if let failure = entry.pendingFailure {
        entries[number] = nil
        abandoned[number] = entry.call
        expiries.append(.fail(entry.call, failure))
      } else {
        _ = cancel(number, failure: .deadlineExceeded, now: now)
        expiries.append(.cancel(number))
      }
    }
    return expiries
  }

  /// Takes out every call, because the process is gone.
  ///
  /// - Returns: The calls that were open, and those that were given up and never answered.
  mutating func removeAll() -> (open: [Call], abandoned: [Call]) {
    defer {
      entries = [:]
      requests = [:]
      requestBytes = 0
      abandoned = [:]
    }
    return (entries.values.map(\.call), Array(abandoned.values))
  }

  /// The number in a call's name.
  static func number(of name: String) -> Int64? {
    let digits = name.utf8.dropFirst()
    guard name.utf8.first == UInt8(ascii: "c"), (1...18).contains(digits.count), digits.first != UInt8(ascii: "0"),
      digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
    else { return nil }
    return Int64(name.dropFirst())
  }
}
