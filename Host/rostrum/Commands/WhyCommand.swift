import FoundationEssentials
import JSONDocument
import Postgres
import Publishing

/// `rostrum why`
enum WhyCommand {
  static let command = Command(
    words: ["why"],
    summary: "Tell the story of a delivery: its state, and every request that was made for it",
    operands: [.init(name: "DELIVERY", about: "the delivery's number")]
  ) { invocation in
    let id = try invocation.id(invocation.operand(0), "DELIVERY")
    let (hold, (delivery, steps)) = try await invocation.withPool { pool in
      (
        try await HoldStore(pool: pool).current(),
        try await pool.transaction(scope: .owner) { tx in
          try await read(id, tx)
        }
      )
    }
    invocation.show(json(delivery, steps)) {
      tell(delivery, steps, invocation.terminal)
      guard let hold, !delivery.state.isEnd else { return }
      invocation.terminal.print()
      invocation.terminal.print("Nothing is sent now: the installation is on hold. \(hold.reason) \(Hold.advice)")
    }
    return .success
  }

  private static func read(_ id: Int64, _ tx: Transaction) async throws -> (Delivery, [DeliveryStep]) {
    let store = DeliveryStore()
    do {
      return (try await store.delivery(id, in: tx), try await store.steps(of: id, in: tx))
    } catch let error as PublishingError where error.kind == .notFound {
      throw CommandError(.notFound, "There is no delivery \(id)")
    }
  }

  private static func tell(_ delivery: Delivery, _ steps: [DeliveryStep], _ terminal: Terminal) {
    terminal.print(terminal.styled("Delivery \(delivery.id): \(delivery.state.rawValue)", .bold))
    terminal.print(
      "“\(delivery.postTitle)” (post \(delivery.postID), version \(delivery.postVersion)) to \(delivery.accountName) "
        + "on \(delivery.platform), site \(delivery.siteID)"
    )
    terminal.print(DeliveryStory.summary(delivery, steps))
    if let error = delivery.error { terminal.print("Reason: \(reason(error))") }
    for warning in delivery.warnings { terminal.print("Warning: \(warning)") }
    guard !steps.isEmpty else { return }
    terminal.print()
    terminal.table(
      ["time", "run", "step", "try", "class", "outcome", "status", "remote id", "closed by"],
      steps.map { step in
        [
          RFC3339.format(step.startedAt), "\(step.run)", step.step, "\(step.attempt)", step.effectClass,
          step.outcome ?? "open", step.status.map { "\($0)" } ?? "", step.remoteID ?? "", step.closedBy ?? "",
        ]
      }
    )
  }

  /// A stored problem in words: what was said, what to do, and the words that programs use.
  private static func reason(_ error: String) -> String {
    // What is not such an object is shown as it is.
    guard let problem = (try? JSONValue.parse(Array(error.utf8)))?.objectValue,
      let message = problem["message"]?.stringValue
    else { return error }
    let kind = [problem["kind"], problem["retry"]].compactMap { $0?.stringValue }.joined(separator: ", ")
    return ([message] + [problem["userMessage"]?.stringValue].compactMap { $0 }).joined(separator: " ") + " (\(kind))"
  }

  private static func json(_ delivery: Delivery, _ steps: [DeliveryStep]) -> JSONValue {
    [
      "id": .int(delivery.id), "siteId": .int(delivery.siteID), "distributionId": .int(delivery.distributionID),
      "connectionId": .int(delivery.connectionID), "platform": .string(delivery.platform),
      "accountName": .string(delivery.accountName), "postId": .int(delivery.postID),
      "postVersion": .int(Int64(delivery.postVersion)), "state": .string(delivery.state.rawValue),
      "attempts": .int(Int64(delivery.attempts)), "run": .int(Int64(delivery.run)),
      "scheduledFor": instant(delivery.scheduledFor), "nextAttemptAt": instant(delivery.nextAttemptAt),
      "url": text(delivery.url), "error": stored(delivery.error),
      "warnings": .array(delivery.warnings.map { .string($0) }),
      "summary": .string(DeliveryStory.summary(delivery, steps)), "steps": .array(steps.map(json)),
    ]
  }

  private static func json(_ step: DeliveryStep) -> JSONValue {
    [
      "run": .int(Int64(step.run)), "step": .string(step.step), "try": .int(Int64(step.attempt)),
      "rule": .string(step.rule), "class": .string(step.effectClass), "outcome": text(step.outcome),
      "status": step.status.map { .int(Int64($0)) } ?? .null, "remoteId": text(step.remoteID),
      "startedAt": instant(step.startedAt), "sentAt": instant(step.sentAt), "lastByteAt": instant(step.lastByteAt),
      "closedBy": text(step.closedBy),
    ]
  }

  private static func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }

  private static func instant(_ value: Date?) -> JSONValue { value.map { .string(RFC3339.format($0)) } ?? .null }

  /// A stored JSON text; shown as plain text when it is none.
  private static func stored(_ value: String?) -> JSONValue {
    guard let value else { return .null }
    return (try? JSONValue.parse(Array(value.utf8))) ?? .string(value)
  }
}
