/// Tells in a sentence where a delivery stands and what happens next.
package enum DeliveryStory {
  package static func summary(_ delivery: Delivery, _ steps: [DeliveryStep]) -> String {
    let requests = steps.filter { $0.effectClass != "read" }.count
    let sent = requests == 1 ? "1 request was made" : "\(requests) requests were made"
    switch delivery.state {
    case .pending: return "Planned for \(Timestamp.text(delivery.scheduledFor)). Nothing was sent yet."
    case .queued: return "Due; waiting for the account's turn. \(sent)."
    case .sending: return "Being sent now, attempt \(delivery.attempts + 1). \(sent)."
    case .retrying:
      let next = delivery.nextAttemptAt.map { " The next attempt is at \(Timestamp.text($0))." } ?? ""
      return "The last attempt did not succeed.\(next) \(sent)."
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
