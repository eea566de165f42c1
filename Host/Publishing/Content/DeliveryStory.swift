/// Tells in a sentence where a delivery stands and what happens next.
package enum DeliveryStory {
  package static func summary(_ delivery: Delivery, _ steps: [DeliveryStep]) -> String {
    let requests = steps.filter { $0.effectClass != "read" }.count
    let sent = requests == 1 ? "1 request was made" : "\(requests) requests were made"
    switch delivery.state {
    case .pending: return "Planned for \(Timestamp.text(delivery.scheduledFor)). Nothing was sent yet."
    case .queued: return "Due; waiting for the account's turn. \(sent)."
    case .sending:
      let isOpen = steps.contains { $0.effectClass == "commit" && $0.outcome == "unknown" && $0.closedBy == nil }
      guard isOpen else { return "Being sent now, attempt \(delivery.attempts + 1). \(sent)." }
      return
        "An answer did not say whether the post is out. The platform is asked; until then the account waits. \(sent)."
    case .retrying:
      let until = delivery.nextAttemptAt.map { " until \(Timestamp.text($0))" } ?? ""
      let last = steps.last { $0.status != nil }
      let why = last.map { " The platform answered \($0.status ?? 0) to “\($0.step)”." } ?? ""
      return "Put off\(until).\(why) \(sent)."
    case .sent: return "Published\(delivery.url.map { " at \($0)" } ?? ""). \(sent)."
    case .partial:
      return "Published in part\(delivery.url.map { " at \($0)" } ?? ""). A retry goes on where it stopped."
    case .failed: return "Not published; nothing of it is on the platform. \(sent)."
    case .unconfirmed:
      return "A request got no clear answer and the platform could not be asked. Look at the account and answer."
    case .canceled: return "Withdrawn before anything was published."
    }
  }
}
