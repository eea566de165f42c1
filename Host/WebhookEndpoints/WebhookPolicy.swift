/// What follows from one request to an endpoint: all rules of trying again, as a value without I/O.
package struct WebhookPolicy: Sendable, Equatable {
  /// What came of a request.
  package enum Answer: Sendable, Equatable {
    /// A whole answer; `retryAfter` is what the receiver asked for.
    case status(Int, retryAfter: Duration? = nil)
    /// No whole answer.
    case none
    /// The address may not be used; trying again changes nothing for a while.
    case refused
  }

  /// What is known before the request.
  package struct Facts: Sendable, Equatable {
    /// The number of this attempt of the message, from 1.
    package var attempt: Int
    /// How long ago the message was put into the queue.
    package var age: Duration
    /// Requests to this endpoint that failed one after the other, without this one.
    package var failures: Int
    /// For how long nothing has succeeded at the endpoint, nil when the last request did.
    package var failingFor: Duration?

    package init(attempt: Int, age: Duration, failures: Int, failingFor: Duration?) {
      self.attempt = attempt
      self.age = age
      self.failures = failures
      self.failingFor = failingFor
    }
  }

  package enum Next: Sendable, Equatable {
    case delivered
    case retry(after: Duration)
    case giveUp
  }

  package var next: Next
  /// How long no other message goes to the endpoint.
  package var pause: Duration?
  /// Why the endpoint gets nothing any more: `gone` or `failing`.
  package var disabledReason: String?
  /// Whether messages that wait after failures should be tried now, because the endpoint answers again.
  package var wakesWaiting = false

  /// A message is tried for this long.
  package static let lifetime: Duration = .seconds(86_400)
  private static let longestPause: Duration = .seconds(300)
  private static let longestWish: Duration = .seconds(3_600)
  private static let delays: [Int64] = [5, 30, 120, 300, 900, 1_800, 3_600]

  package init(_ answer: Answer, _ facts: Facts) {
    if case .status(200..<300, _) = answer {
      next = .delivered
      wakesWaiting = facts.failures >= Self.failuresOfAnOutage
      return
    }
    if case .status(410, _) = answer {
      next = .giveUp
      disabledReason = "gone"
      return
    }
    var delay = Duration.seconds(Self.delays[min(max(facts.attempt, 1), Self.delays.count) - 1])
    let failures = facts.failures + 1
    if failures >= Self.failuresOfAnOutage {
      let doubled = Duration.seconds(5) * (1 << min(failures - Self.failuresOfAnOutage, 10))
      pause = min(doubled, Self.longestPause)
    }
    if case .status(_, let wish?) = answer {
      let wish = min(wish, Self.longestWish)
      delay = max(delay, wish)
      pause = max(pause ?? .zero, wish)
    }
    guard facts.age < Self.lifetime else {
      next = .giveUp
      if let failing = facts.failingFor, failing >= Self.lifetime { disabledReason = "failing" }
      return
    }
    // The last try comes at the end of the day, whatever the step before it was.
    next = .retry(after: min(delay, Self.lifetime - facts.age))
  }

  /// One message that a receiver can not digest is no outage.
  private static let failuresOfAnOutage = 3
}
