import FoundationEssentials
import Testing

@testable import Publishing

/// Every row of the decision, and that nothing else holds.
@Suite struct HoldDecisionTests {
  private static let installation = UUID()
  private static let noon = Date(timeIntervalSince1970: 1_800_000_000)

  private func facts(_ change: (inout DatabaseFacts) -> Void = { _ in }) -> DatabaseFacts {
    let identity = DatabaseFacts.Identity(system: 7, database: 5, table: 3)
    var facts = DatabaseFacts(
      installation: Self.installation,
      identity: identity,
      timeline: 1,
      flushed: 1_000,
      fence: 50,
      startedAt: 9,
      record: DatabaseFacts.Record(identity: identity, timeline: 1),
      knownUntil: Self.noon
    )
    change(&facts)
    return facts
  }

  private func mark(_ change: (inout HighWaterMark) -> Void = { _ in }) -> HighWaterMark {
    var mark = HighWaterMark(
      installation: Self.installation,
      system: 7,
      database: 5,
      timeline: 1,
      flushed: 900,
      fence: 40,
      isSynchronous: false,
      at: Self.noon.addingTimeInterval(2)
    )
    change(&mark)
    return mark
  }

  private func cause(_ mark: HighWaterMark?, _ facts: DatabaseFacts, isStart: Bool = true) -> HoldCause? {
    guard case .hold(let cause, let reason) = HoldDecision(mark: mark, facts: facts, isStart: isStart) else {
      return nil
    }
    #expect(!reason.isEmpty)
    return cause
  }

  @Test(arguments: [true, false]) func theDatabaseAsItWasLeftMaySend(isStart: Bool) {
    #expect(HoldDecision(mark: mark(), facts: facts(), isStart: isStart) == .proceed)
    let equal = mark {
      $0.flushed = 1_000
      $0.fence = 50
    }
    #expect(HoldDecision(mark: equal, facts: facts(), isStart: isStart) == .proceed)
  }

  @Test func aNewHomeAndANewDatabaseMaySend() {
    #expect(HoldDecision(mark: nil, facts: facts(), isStart: true) == .proceed)
    #expect(HoldDecision(mark: nil, facts: facts { $0.record = nil }, isStart: true) == .proceed)
  }

  @Test func aStandbyIsNotReady() {
    #expect(HoldDecision(mark: mark(), facts: facts { $0.isInRecovery = true }, isStart: true) == .notReady)
  }

  @Test(arguments: [
    DatabaseFacts.Identity(system: 8, database: 5, table: 3), DatabaseFacts.Identity(system: 7, database: 6, table: 3),
    DatabaseFacts.Identity(system: 7, database: 5, table: 4),
  ])
  func aCopyIsHeldWhateverTheHomeKnows(identity: DatabaseFacts.Identity) {
    let copy = facts { $0.identity = identity }
    #expect(cause(nil, copy) == .copied)
    #expect(cause(mark(), copy, isStart: false) == .copied)
    let ended = facts {
      $0.identity = identity
      $0.holdEndedAt = Self.noon.addingTimeInterval(60)
    }
    #expect(cause(mark(), ended) == .copied)
  }

  @Test func aForeignInstallationIsHeld() {
    #expect(cause(mark { $0.installation = UUID() }, facts()) == .foreignInstallation)
  }

  @Test func theSameInstallationOnAnotherServerIsHeld() {
    #expect(cause(mark { $0.system = 8 }, facts()) == .foreignServer)
    #expect(cause(mark { $0.database = 8 }, facts()) == .foreignServer)
  }

  @Test(arguments: [true, false]) func aDatabaseBehindTheMarkIsHeld(isStart: Bool) {
    #expect(cause(mark { $0.flushed = 1_001 }, facts(), isStart: isStart) == .behind)
    #expect(cause(mark { $0.fence = 51 }, facts(), isStart: isStart) == .behind)
    let synchronous = mark {
      $0.flushed = 1_001
      $0.isSynchronous = true
    }
    #expect(cause(synchronous, facts(), isStart: isStart) == .behind)
  }

  @Test func thePrintedWindowIsWhatIsMissing() {
    guard case .hold(_, let reason) = HoldDecision(mark: mark { $0.fence = 51 }, facts: facts(), isStart: true) else {
      Issue.record("It is not held")
      return
    }
    #expect(reason.contains("2.0 s"))
  }

  @Test func aPromotedStandbyIsHeldUnlessItHadEverything() {
    let promoted = facts { $0.timeline = 2 }
    #expect(cause(mark(), promoted) == .promoted)
    #expect(cause(mark(), promoted, isStart: false) == .promoted)
    #expect(cause(mark { $0.isSynchronous = true }, promoted) == .promoted)
    #expect(HoldDecision(mark: mark { $0.isSynchronous = true }, facts: promoted, isStart: false) == .proceed)
    #expect(cause(nil, promoted) == .promoted)
  }

  @Test func aChangeThatWasExaminedByAnotherHostIsNoNews() {
    let examined = facts {
      $0.timeline = 2
      $0.record?.timeline = 2
    }
    #expect(HoldDecision(mark: mark(), facts: examined, isStart: true) == .proceed)
    #expect(HoldDecision(mark: nil, facts: examined, isStart: true) == .proceed)
    // What this home has seen is missing all the same.
    #expect(cause(mark { $0.flushed = 1_001 }, examined) == .behind)
  }

  @Test func aMarkFromBeforeTheEndOfAHoldSaysNothing() {
    let ended = facts { $0.holdEndedAt = Self.noon.addingTimeInterval(60) }
    #expect(HoldDecision(mark: mark { $0.flushed = 2_000 }, facts: ended, isStart: true) == .proceed)
    let later = mark {
      $0.flushed = 2_000
      $0.at = Self.noon.addingTimeInterval(61)
    }
    #expect(cause(later, ended) == .behind)
  }

  @Test func aMarkSurvivesItsFile() async throws {
    let path = FileManager.default.temporaryDirectory.path + "/mark-\(UUID().uuidString)"
    let file = MarkFile(path: path)
    #expect(try await file.read() == nil)
    try await file.write(mark())
    try await file.write(mark { $0.fence = 41 })
    #expect(try await file.read() == mark { $0.fence = 41 })
    #expect(FileManager.default.createFile(atPath: path, contents: Data("{".utf8)))
    await #expect(throws: MarkFile.Failure.self) { try await file.read() }
    try FileManager.default.removeItem(atPath: path)
  }
}
