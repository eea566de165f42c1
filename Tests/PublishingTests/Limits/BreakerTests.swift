import FoundationEssentials
import Testing

@testable import Publishing

/// The pure parts of breakers, under a clock of the test's own.
@Suite struct BreakerTests {
  private let start = Date(timeIntervalSince1970: 1_800_000_000)
  private let settings = BreakerSettings()

  @Test func eachFailedProbeDoublesThePause() {
    var breaker = Breaker(openedAt: start, settings)
    var now = start
    var pauses: [TimeInterval] = [breaker.openUntil.timeIntervalSince(start)]
    for _ in 0..<7 {
      // While it is open nothing that comes in late changes it.
      #expect(breaker.phase(at: now) == .open)
      #expect(!breaker.closes(at: now))
      let before = breaker
      let changed = breaker.failed(at: now.addingTimeInterval(1), settings)
      #expect(!changed && breaker == before)
      now = breaker.openUntil
      #expect(breaker.phase(at: now) == .halfOpen)
      #expect(breaker.closes(at: now))
      let reopened = breaker.failed(at: now, settings)
      #expect(reopened)
      pauses.append(breaker.openUntil.timeIntervalSince(now))
    }
    #expect(pauses == [30, 60, 120, 240, 480, 900, 900, 900])
    #expect(breaker.openedAt == start)
    #expect(breaker.trips == 8)
  }

  @Test func howeverOftenItTripsThePauseStaysBounded() {
    var breaker = Breaker(trips: .max - 1, openedAt: start, openUntil: start)
    let reopened = breaker.failed(at: start, settings)
    #expect(reopened)
    #expect(breaker.openUntil == start.addingTimeInterval(900))
  }

  @Test func anAccountOpensAfterFailuresInARow() {
    var tally = FailureTally(settings)
    for round in 0..<3 {
      for _ in 0..<4 { #expect(!fails(&tally, 1, nil, after: Double(round))) }
      tally.answered(1, platform: nil, at: start)
    }
    for number in 1...10 {
      // The count starts again each time.
      #expect(fails(&tally, 1, nil, after: 0) == (number % 5 == 0))
    }
    // Another account is another account.
    #expect(!fails(&tally, 2, nil, after: 0))
  }

  @Test func aPlatformOpensWhenSeveralAccountsFail() {
    var tally = FailureTally(settings)
    var opened: [Int] = []
    for number in 1...40 {
      tally.answered(Int64(number % 3), platform: nil, at: start)
      if tally.failed(Int64(number % 3), platform: "p", at: start).platform { opened.append(number) }
    }
    #expect(opened == [20, 40])
  }

  @Test func oneBrokenAccountIsNotThePlatform() {
    var tally = FailureTally(settings)
    for number in 1...200 { #expect(!tally.failed(Int64(number % 2), platform: "p", at: start).platform) }
  }

  @Test func aPlatformThatMostlyAnswersStaysClosed() {
    var tally = FailureTally(settings)
    for number in 1...200 {
      tally.answered(Int64(number), platform: "p", at: start)
      tally.answered(Int64(number), platform: "p", at: start)
      #expect(!tally.failed(Int64(number), platform: "p", at: start).platform)
    }
  }

  @Test func oldFailuresAreForgotten() {
    var tally = FailureTally(settings)
    for number in 0..<200 {
      let time = Double(number) * 4
      #expect(!tally.failed(Int64(number), platform: "p", at: start.addingTimeInterval(time)).platform)
    }
    // A clock that is set back does not keep what it counted in a time to come.
    for number in 0..<12 { _ = tally.failed(Int64(number), platform: "p", at: start.addingTimeInterval(10_000)) }
    for number in 0..<12 {
      #expect(!tally.failed(Int64(number), platform: "p", at: start).platform)
    }
  }

  private func fails(_ tally: inout FailureTally, _ id: Int64, _ platform: String?, after: TimeInterval) -> Bool {
    tally.failed(id, platform: platform, at: start.addingTimeInterval(after)).connection
  }
}
