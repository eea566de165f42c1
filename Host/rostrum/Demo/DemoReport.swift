import FoundationEssentials
import JSONDocument

/// What became of the demo's deliveries, beside what the simulated platforms have published.
struct DemoReport: Sendable {
  let deliveries: [DemoWatch.Delivery]
  /// How many posts each platform has, by plugin id.
  let counts: [String: Int64]
  /// Seconds since 1970; nil when nothing was sent.
  let firstSentAt: TimeInterval?

  init(deliveries: [DemoWatch.Delivery], ledger: JSONValue, firstSentAt: TimeInterval?) {
    self.deliveries = deliveries
    self.firstSentAt = firstSentAt
    counts = Dictionary(
      Set(deliveries.map(\.platform)).map { ($0, ledger.pointer("/\($0)/count")?.int64Value ?? 0) }
    ) { first, _ in first }
  }

  /// Everything was sent, and each platform shows exactly what was sent to it.
  var isGood: Bool {
    !deliveries.isEmpty && deliveries.allSatisfy { $0.state == "sent" }
      && counts.allSatisfy { platform, count in count == Int64(deliveries.count { $0.platform == platform }) }
  }

  /// `{"deliveries":[{"id","platform","state","url"}],"ledger":{…}}`
  var json: JSONValue {
    let rows = deliveries.map { delivery in
      JSONValue.object([
        "id": .int(delivery.id), "platform": .string(delivery.platform), "state": .string(delivery.state),
        "url": delivery.url.map { .string($0) } ?? .null,
      ])
    }
    return ["deliveries": .array(rows), "ledger": .object(counts.mapValues { .int($0) })]
  }
}
