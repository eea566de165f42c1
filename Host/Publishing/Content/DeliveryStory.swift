package import FoundationEssentials
internal import JSONDocument
import JobQueue

/// Tells in sentences where a delivery stands, why, and what happens next. Pure: it decides from facts alone.
package enum DeliveryStory {
  package static func summary(_ delivery: Delivery, _ steps: [DeliveryStep]) -> String {
    let requests = steps.filter { $0.effectClass != "read" }.count
    let sent = requests == 1 ? "1 request was made" : "\(requests) requests were made"
    switch delivery.state {
    case .pending: return "Planned for \(RFC3339.format(delivery.scheduledFor)). Nothing was sent yet."
    case .queued: return "Due; waiting for the account's turn. \(sent)."
    case .sending:
      let isOpen = steps.contains { $0.effectClass == "commit" && $0.outcome == "unknown" && $0.closedBy == nil }
      guard isOpen else { return "Being sent now, attempt \(delivery.attempts + 1). \(sent)." }
      return
        "An answer did not say whether the post is out. The platform is asked; until then the account waits. \(sent)."
    case .retrying:
      let until = delivery.nextAttemptAt.map { " until \(RFC3339.format($0))" } ?? ""
      let last = steps.last { $0.status != nil }
      let why = last.map { " The platform answered \($0.status ?? 0) to “\($0.step)”." } ?? ""
      return "Put off\(until).\(why) \(sent)."
    case .sent:
      let place = delivery.url.map { " at \($0)" } ?? ""
      if let removal = removal(of: delivery) { return "Published\(place)\(removal) \(sent)." }
      return delivery.isByHand ? "Posted by hand\(place). \(sent)." : "Published\(place). \(sent)."
    case .partial:
      if let removal = removal(of: delivery) {
        return "Published in part\(delivery.url.map { " at \($0)" } ?? "")\(removal) \(sent)."
      }
      return "Published in part\(delivery.url.map { " at \($0)" } ?? ""). A retry goes on where it stopped."
    case .failed:
      let instead = delivery.replacedBy.map { " Delivery \($0) goes out instead." } ?? ""
      return "Not published; nothing of it is on the platform. \(sent).\(instead)"
    case .unconfirmed:
      return "A request got no clear answer and the platform could not be asked. Look at the account and answer."
    case .canceled:
      let instead = delivery.replacedBy.map { " Delivery \($0) goes out instead." } ?? ""
      return "Withdrawn before anything was published.\(instead)"
    }
  }

  /// What became of the wish to delete it, as the end of a sentence; nil when nobody had it.
  private static func removal(of delivery: Delivery) -> String? {
    switch delivery.removal {
    case .removed: return ", and deleted on the platform since."
    case .asked: return "; it is being deleted on the platform."
    case .failed:
      let posts = delivery.removedPosts
      guard posts.removed > 0 else { return "; deleting it on the platform did not work." }
      return "; \(posts.removed) of its \(posts.count) known posts are deleted on the platform, the rest is not."
    case nil: return nil
    }
  }

  /// Why an open delivery does not move, the strongest reason first.
  package static func holds(_ facts: QueueFacts, now: Date) -> [DeliveryExplanation.Hold] {
    var holds: [DeliveryExplanation.Hold] = []
    func hold(_ kind: String, _ message: String, until: Date? = nil) {
      holds.append(DeliveryExplanation.Hold(kind, message, until: until))
    }
    func wait(_ kind: String, _ message: String, _ until: Date?) {
      if let until, until > now { hold(kind, message, until: until) }
    }
    if facts.place == .unknown {
      hold("outcomeUnknown", "The platform is asked what became of a request that got no answer", until: facts.checkAt)
      return holds
    }
    if facts.isCanceled { hold("canceled", "It was withdrawn and is taken out of the queue") }
    if let since = facts.groupPausedAt {
      hold("distributionPaused", "The distribution was paused at \(RFC3339.format(since))")
    }
    if facts.isLanePaused { hold("connectionPaused", "The account is paused") }
    if facts.isSitePaused { hold("sitePaused", "The site is paused") }
    if facts.connectionStatus != "active" {
      let why = facts.connectionReason.map { ": \($0)" } ?? ""
      hold("connection", "The account is \(facts.connectionStatus)\(why)")
    }
    guard facts.place != .claimed, facts.place != .committing else { return holds }
    if facts.place == .due { wait("planned", "Its time has not come", facts.dueAt) }
    for block in facts.blocks { wait(kind(block), words(block), block.until) }
    wait("rate", "The account has used up its rate for now", facts.rateUntil)
    wait("sharedRate", "A limit that several accounts share is used up for now", facts.poolUntil)
    wait("gap", "Posts of one account keep a distance", facts.gapUntil)
    if facts.place == .ready {
      if facts.ahead > 0 {
        hold("order", facts.ahead == 1 ? "1 delivery of the account goes first" : "\(facts.ahead) deliveries go first")
      }
      if facts.isLaneFull { hold("account", "Another delivery of the account is being sent") }
    }
    return holds
  }

  private static func kind(_ block: LaneHold) -> String {
    switch block.reason.flatMap(BlockReason.init) {
    case .breaker: "breaker"
    case .pacing: "pacing"
    case .rateLimited, nil: "blocked"
    }
  }

  private static func words(_ block: LaneHold) -> String {
    let who =
      switch block.extent {
      case .connection: "the account"
      case .site: "the accounts of the site on the platform"
      case .platform: "all accounts on the platform"
      }
    return switch block.reason.flatMap(BlockReason.init) {
    case .breaker: "Requests failed one after the other, so \(who) waits for a look whether they work again"
    case .pacing: "The platform's limit is nearly used up; what is left is spread over \(who)"
    case .rateLimited, nil: "The platform asked \(who) to wait"
    }
  }

  /// What happens next by itself, and when that is known.
  package static func next(
    _ delivery: Delivery,
    _ facts: QueueFacts,
    _ holds: [DeliveryExplanation.Hold]
  ) -> (what: String, at: Date?)? {
    if delivery.state.isEnd {
      return delivery.removal == .asked ? ("It is deleted on the platform", nil) : nil
    }
    switch facts.place {
    case .unknown: return ("The platform is asked again", facts.checkAt)
    case .claimed, .committing: return ("Its requests are made", nil)
    case .due, .ready, .parked, .none:
      if facts.isCanceled { return ("It ends as canceled", nil) }
      // Who waits for a person has no time.
      let needsPerson = holds.contains { $0.until == nil && !["order", "account"].contains($0.kind) }
      let at = holds.compactMap(\.until).max() ?? (facts.place == .due ? facts.dueAt : nil)
      return (delivery.attempts > 0 ? "It is tried again" : "It is sent", needsPerson ? nil : at)
    }
  }

  /// What a person can do with it.
  package static func choices(_ delivery: Delivery, _ facts: QueueFacts) -> [DeliveryExplanation.Choice] {
    switch delivery.state {
    case .pending, .queued, .retrying:
      return facts.groupPausedAt == nil && !facts.isLanePaused && !facts.isSitePaused ? [.cancel] : [.resume, .cancel]
    case .sending: return []
    case .unconfirmed: return [.published, .notPublished, .giveUp]
    case .failed: return delivery.replacedBy == nil ? [.retry, .postedByHand, .divert] : []
    case .partial:
      switch delivery.removal {
      case nil: return [.retry, .deleteOnPlatform]
      case .failed: return [.deleteOnPlatform]
      case .asked, .removed: return []
      }
    case .sent:
      let isOut = delivery.removal == nil || delivery.removal == .failed
      return isOut && delivery.remoteID != nil ? [.deleteOnPlatform] : []
    case .canceled: return []
    }
  }
}
