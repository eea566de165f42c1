import Testing

@testable import PluginHost

@Suite struct CallTableTests {
  private let start = ContinuousClock.now

  private func at(_ seconds: Double) -> ContinuousClock.Instant {
    start + .seconds(seconds)
  }

  private func table() -> CallTable<String> {
    var table = CallTable<String>()
    table.open(5, "five", deadline: at(10))
    table.open(6, "six", deadline: at(20))
    return table
  }

  @Test func answersOnceAndKnowsStrangers() {
    var table = table()
    guard case .open("five", nil) = table.answer(5) else {
      Issue.record("not open")
      return
    }
    guard case .unknown = table.answer(5), case .unknown = table.answer(99) else {
      Issue.record("known")
      return
    }
    #expect(table.answered == 1)
    #expect(table.nextExpiry == at(20))
  }

  @Test func theTimeOfACallEndsInTwoSteps() {
    var table = table()
    #expect(table.expire(now: at(9)).isEmpty)
    guard case .cancel(5) = table.expire(now: at(10)).first else {
      Issue.record("not cancelled")
      return
    }
    #expect(table.nextExpiry == at(12))
    #expect(table.expire(now: at(11)).isEmpty)
    guard case .fail("five", .deadlineExceeded) = table.expire(now: at(12)).first else {
      Issue.record("not failed")
      return
    }
    guard case .late = table.answer(5), case .unknown = table.answer(5) else {
      Issue.record("not late")
      return
    }
    #expect(table.count == 1)
  }

  @Test func aCancellationIsToldOnce() {
    var table = table()
    #expect(table.cancel(6, failure: .cancelled, now: at(1)) == at(3))
    #expect(table.cancel(6, failure: .cancelled, now: at(2)) == nil)
    #expect(table.cancel(99, failure: .cancelled, now: at(2)) == nil)
    guard case .fail("six", .cancelled) = table.expire(now: at(3)).first else {
      Issue.record("not failed")
      return
    }
  }

  @Test func threeUnansweredCallsMeanStuckAndALateAnswerHeals() {
    var table = CallTable<Int>()
    for number in 1...3 { table.open(Int64(number), number, deadline: at(0)) }
    _ = table.expire(now: at(0))
    #expect(!table.isStuck)
    _ = table.expire(now: at(2))
    #expect(table.isStuck)
    _ = table.answer(2)
    #expect(!table.isStuck)
  }

  @Test func routesRequestsByTheNameOfTheCall() {
    var table = table()
    guard case .open("six") = table.route(request: 1, call: "c6"),
      case .duplicate = table.route(request: 1, call: "c6"),
      case .finished = table.route(request: 2, call: "c3"), case .unknown = table.route(request: 3, call: "c7")
    else {
      Issue.record("routed wrongly")
      return
    }
    let closed = (table.close(request: 1), table.close(request: 1))
    #expect(closed == (true, false))
    guard case .open = table.route(request: 1, call: "c6") else {
      Issue.record("not open again")
      return
    }
  }

  @Test func boundsTheOpenRequestsOfACall() {
    var table = table()
    for id in 1...64 { _ = table.route(request: Int64(id), call: "c5") }
    guard case .overloaded = table.route(request: 65, call: "c5"), case .open = table.route(request: 65, call: "c6")
    else {
      Issue.record("not bounded")
      return
    }
  }

  @Test(arguments: ["", "c", "c0", "c01", "5", "d5", "c-5", "c5 ", "c٥", "c9999999999999999999", "c5c"])
  func refusesOtherNames(name: String) {
    #expect(CallTable<Int>.number(of: name) == nil)
  }

  @Test func readsNames() {
    #expect(CallTable<Int>.number(of: "c12") == 12)
  }
}

@Suite struct LogBudgetTests {
  @Test func admitsSoManyAMinuteAndCountsTheRest() {
    let start = ContinuousClock.now
    var budget = LogBudget(limit: 2, now: start)
    let seconds = [0, 0, 59, 59, 60, 60, 60]
    let answers = seconds.map { budget.admit(now: start + .seconds($0)) }
    #expect(answers == [0, 0, nil, nil, 2, 0, nil])
  }
}

@Suite struct ErrorStreamTests {
  @Test func cutsLinesWhereverTheChunksEnd() {
    var stream = ErrorStream()
    var lines: [String] = []
    for byte in Array("one\ntwo\n\nthree".utf8) { lines += stream.consume([byte]).lines }
    #expect(lines == ["one", "two", ""])
    #expect(stream.finish() == "three")
    #expect(stream.finish() == nil)
    #expect(stream.lastLines == ["one", "two", "", "three"])
  }

  @Test func keepsAnEndOnly() {
    var stream = ErrorStream()
    for number in 0..<1_000 { _ = stream.consume(ArraySlice("\(number) \(String(repeating: "x", count: 200))\n".utf8)) }
    #expect(stream.lastLines.reduce(0) { $0 + $1.utf8.count } <= ErrorStream.keptBytes)
    #expect(stream.lastLines.last?.hasPrefix("999 ") == true)
  }

  @Test func cutsNoMoreLinesThanAreWanted() {
    var stream = ErrorStream()
    let (lines, more) = stream.consume(ArraySlice("a\nb\nc\n\nd".utf8), wanted: 2)
    #expect(lines == ["a", "b"])
    #expect(more == 2)
    #expect(stream.lastLines == ["a", "b", "c", "", "d"])
  }

  @Test func aMillionEmptyLinesStaySmall() {
    var stream = ErrorStream()
    for _ in 0..<16 { _ = stream.consume(ArraySlice(repeating: 0x0A, count: 65_536), wanted: 0) }
    #expect(stream.lastLines.count == ErrorStream.keptBytes)
  }

  @Test func cutsALineWithoutAnEnd() {
    var stream = ErrorStream()
    for _ in 0..<100 { _ = stream.consume(ArraySlice(repeating: 0x61, count: 65_536)) }
    #expect(stream.consume([0x0A]).lines.first?.utf8.count == ErrorStream.maximumLineBytes)
  }
}
