/// One thing that goes wrong on demand.
enum FaultAction: Sendable {
  /// Waits before the request is worked on, or between its effect and the answer.
  case delay(milliseconds: Int, after: Bool)
  case resetBeforeCommit
  case resetAfterCommit
  case commitAfterReset(milliseconds: Int)
  /// A new post stays out of its author's timeline for that long.
  case listLag(milliseconds: Int)
  case status(StatusFault)
  case truncateBody
  case wrongContentType
  /// The honest answer without some members, wherever in it they are.
  case omit([String])

  /// Delays and lags go with anything; of the others one request can meet only one.
  var endsRequest: Bool {
    switch self {
    case .delay, .listLag: false
    default: true
    }
  }

  var name: String {
    switch self {
    case .delay: "delay"
    case .resetBeforeCommit: "resetBeforeCommit"
    case .resetAfterCommit: "resetAfterCommit"
    case .commitAfterReset: "commitAfterReset"
    case .listLag: "listLag"
    case .status(let status): "status \(status.code)"
    case .truncateBody: "truncateBody"
    case .wrongContentType: "wrongContentType"
    case .omit(let members): "omit \(members.joined(separator: " "))"
    }
  }
}

/// An answer other than the platform's.
struct StatusFault: Sendable {
  enum RetryAfter: Sendable {
    case seconds(Int)
    case date(Int)
  }

  var code: Int
  var body: [UInt8]?
  var contentType: String?
  var headers: [HTTPRequest.Header] = []
  var retryAfter: RetryAfter?
  /// True: the request takes effect all the same.
  var afterCommit = false
}

/// Which requests a fault is for; an absent part matches everything.
struct FaultMatch: Sendable {
  var platform: String?
  /// The name of the real server.
  var host: String?
  var method: String?
  /// The path's beginning.
  var path: String?
  /// The path's end, for paths with an id in their middle.
  var pathEnd: String?
  var account: String?
  var bodyContains: [UInt8]?
  var queryContains: [UInt8]?

  func matches(_ request: HTTPRequest, platform: String, account: String?) -> Bool {
    if let wanted = self.platform, wanted != platform { return false }
    if let host, host != request.host { return false }
    if let method, method != request.method { return false }
    if let path, !request.path.hasPrefix(path) { return false }
    if let pathEnd, !request.path.hasSuffix(pathEnd) { return false }
    if let wanted = self.account, wanted != account { return false }
    if let bodyContains, request.body.firstIndex(of: bodyContains, from: 0) == nil { return false }
    if let queryContains, Array(request.rawQuery.utf8).firstIndex(of: queryContains, from: 0) == nil { return false }
    return true
  }
}

/// A fault as it was ordered.
struct Fault: Sendable {
  let id: Int
  var match: FaultMatch
  var action: FaultAction
  /// How often it may still happen; `nil` is without end.
  var remaining: Int?
  /// Matching requests that pass before the first one.
  var skip: Int
  var probability: Double
  var random: SplitMix64
  var hits = 0
}

/// A small random generator with a seed that can be printed.
struct SplitMix64: Sendable {
  private var state: UInt64

  init(seed: UInt64) {
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word >> 31
  }

  /// At least 0, less than 1.
  mutating func nextUnit() -> Double {
    Double(next() >> 11) / 9_007_199_254_740_992
  }
}

extension [UInt8] {
  /// The place of the first occurrence of `pattern` at or after `start`.
  func firstIndex(of pattern: [UInt8], from start: Int) -> Int? {
    guard let first = pattern.first else { return start <= count ? start : nil }
    guard pattern.count <= count else { return nil }
    return unsafe withUnsafeBufferPointer { whole in
      var index = start
      let last = whole.count - pattern.count
      scan: while index <= last {
        guard unsafe whole[index] == first else {
          index += 1
          continue
        }
        for offset in pattern.indices where unsafe whole[index + offset] != pattern[offset] {
          index += 1
          continue scan
        }
        return index
      }
      return nil
    }
  }
}
