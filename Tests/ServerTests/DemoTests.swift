import JSONDocument
import MediaStore
import Testing

@testable import rostrum

@Suite struct DemoTests {
  @Test func theHostTakesThePicture() throws {
    let format = try #require(MediaFormat.detect(DemoPicture.png()))
    #expect(format.type == "image/png")
    #expect(format.width == 480 && format.height == 270)
  }

  /// The answer of a host as it may come from the network.
  private let answer = Array(
    """
    HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
    8\r\n: hello\n\r\n2f\r\nid: 5-1\nevent: delivery.sent\ndata: {"id":7}\n\nda\r\n14\r\nta: 1\nevent: other\n\n\r\n0\r\n\r\n
    """.utf8
  )

  @Test(arguments: [1, 3, 7, 1000]) func findsEventsInPiecesOfAnySize(size: Int) {
    var reader = EventReader()
    var events: [EventStream.Event] = []
    for start in stride(from: 0, to: answer.count, by: size) {
      events += reader.take(Array(answer[start..<min(start + size, answer.count)]))
    }
    #expect(reader.status == 200)
    #expect(events.map(\.kind) == ["delivery.sent", "other"])
    #expect(events.first?.data["id"] == 7)
    #expect(events.last?.data == 1)
  }

  @Test func aReportIsGoodOnlyWhenTheLedgerSaysTheSame() {
    func report(_ states: [String], count: Int) -> DemoReport {
      let deliveries = states.enumerated().map { index, state in
        DemoWatch.Delivery(id: Int64(index), platform: "one", label: "", state: state)
      }
      return DemoReport(deliveries: deliveries, ledger: ["one": ["count": .int(Int64(count))]], firstSentAt: nil)
    }
    #expect(report(["sent", "sent"], count: 2).isGood)
    #expect(!report(["sent", "sent"], count: 3).isGood)
    #expect(!report(["sent", "sent"], count: 1).isGood)
    #expect(!report(["sent", "unconfirmed"], count: 2).isGood)
    #expect(!report([], count: 0).isGood)
    #expect(report(["sent"], count: 1).json.pointer("/ledger/one") == 1)
  }
}
