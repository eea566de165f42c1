import Logging
import Testing

@Suite struct LoggerTests {
  @Test func dropsRecordsBelowItsLevelWithoutComputingTheirFields() {
    let sink = MemorySink()
    let logger = Logger(sink: sink, minimumLevel: .warning)
    var computed = 0
    func fields() -> LogFields {
      computed += 1
      return ["computed": computed]
    }
    logger.info("Ignored", fields())
    logger.warning("Kept", fields())
    #expect(computed == 1)
    #expect(sink.records.map(\.message) == ["Kept"])
  }

  @Test func addsItsFieldsAndLetsTheRecordsOwnOnesWin() {
    let sink = MemorySink()
    let logger = Logger(sink: sink, fields: ["node": "a", "part": "queue"]).with(["part": "host"])
    logger.info("Started", ["node": "b", "count": 3])
    #expect(sink.records.first?.fields == ["node": "b", "part": "host", "count": 3])
  }

  @Test func acceptsVariablesOptionalsAndErrors() {
    struct Failure: Error, CustomStringConvertible { let description = "no such thing" }
    let name = "x"
    let missing: Int? = nil
    let error: any Error = Failure()
    let fields: LogFields = [
      "name": name, "missing": missing, "error": .error(error), "ratio": 0.5, "text": .string(name), "on": true,
    ]
    #expect(fields["name"] == .string("x"))
    #expect(fields["missing"] == .null)
    #expect(fields["error"] == .string("no such thing"))
    #expect(fields["ratio"] == .double(0.5))
    #expect(fields["on"] == .bool(true))
  }

  @Test func isBoundPerTask() async {
    let sink = MemorySink()
    Logger.$current.withValue(Logger(sink: sink)) {
      Logger.current.info("Inside")
    }
    Logger.current.fault("Outside")
    #expect(sink.records.map(\.message) == ["Inside"])
  }

  @Test func orLogReportsTheErrorAndReturnsNothing() {
    struct Failure: Error {}
    let sink = MemorySink()
    let value: Int? = orLog("Counting", Logger(sink: sink)) { throw Failure() }
    #expect(value == nil)
    #expect(sink.records.first?.level == .error)
    #expect(orLog("Counting", Logger(sink: sink)) { 4 } == 4)
    #expect(sink.records.count == 1)
  }
}
