import FoundationEssentials
import JSONDocument

/// What is known of the demo's deliveries while they run.
struct DemoWatch: Sendable {
  struct Delivery: Sendable {
    var id: Int64
    var platform: String
    var label: String
    var state: String
    var url: String?
    var isTold = false
  }

  /// States after which nothing happens by itself.
  private static let ends: Set<String> = ["sent", "partial", "failed", "unconfirmed", "canceled"]

  let screen: DemoScreen
  /// The platforms' names for people, by their ids.
  let names: [String: String]
  private(set) var deliveries: [Delivery] = []
  private(set) var firstSentAt: TimeInterval?

  init(screen: DemoScreen, names: [String: String]) {
    self.screen = screen
    self.names = names
  }

  /// The deliveries that have not ended, or whose end was not told.
  var open: [Int64] { deliveries.filter { !$0.isTold }.map(\.id) }

  var justEnded: [Int64] { deliveries.filter { Self.ends.contains($0.state) && !$0.isTold }.map(\.id) }

  /// Adds what a dispatch accepted.
  mutating func add(_ dispatched: JSONValue, label: String) {
    for entry in dispatched.pointer("/data/deliveries")?.arrayValue ?? [] {
      guard let id = entry["id"]?.int64Value, let platform = entry["platform"]?.stringValue else { continue }
      deliveries.append(Delivery(id: id, platform: platform, label: label, state: "accepted"))
    }
  }

  /// Takes an event of the host.
  mutating func take(_ event: EventStream.Event) {
    guard event.kind.hasPrefix("delivery.") else { return }
    take(event.data)
  }

  /// Takes the state of a delivery and tells it when it is news.
  mutating func take(_ data: JSONValue) {
    guard let id = data["id"]?.int64Value, let state = data["state"]?.stringValue,
      let index = deliveries.firstIndex(where: { $0.id == id }), deliveries[index].state != state,
      !Self.ends.contains(deliveries[index].state)
    else { return }
    deliveries[index].state = state
    if Self.ends.contains(state) { return }
    switch state {
    case "sending": screen.show(.step, "\(title(deliveries[index])): claimed, the adapter is sending it")
    case "retrying", "waiting", "checking":
      let reason = data.pointer("/error/message")?.stringValue.map { ": \($0)" } ?? ""
      screen.show(.waiting, "\(title(deliveries[index])): \(state)\(reason)")
    default: break
    }
  }

  /// Tells the end of a delivery.
  mutating func end(_ data: JSONValue, page: String?) {
    guard let id = data["id"]?.int64Value, let index = deliveries.firstIndex(where: { $0.id == id }) else { return }
    let state = data["state"]?.stringValue ?? deliveries[index].state
    guard Self.ends.contains(state) else { return }
    deliveries[index].state = state
    deliveries[index].url = data["url"]?.stringValue
    deliveries[index].isTold = true
    if state == "sent" {
      if firstSentAt == nil { firstSentAt = Date().timeIntervalSince1970 }
      screen.show(.done, "\(title(deliveries[index])): sent", link: page ?? deliveries[index].url)
    } else {
      let reason = data.pointer("/error/message")?.stringValue ?? "no reason was given"
      screen.show(.failed, "\(title(deliveries[index])): \(state), \(reason)")
    }
  }

  private func title(_ delivery: Delivery) -> String {
    "Delivery \(delivery.id) to \(names[delivery.platform] ?? delivery.platform) (\(delivery.label))"
  }
}
