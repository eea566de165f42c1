import FoundationEssentials
import JSONDocument
import JSONText
import Postgres
import Publishing

/// `rostrum why`
enum WhyCommand {
  static let command = Command(
    words: ["why"],
    summary: "Tell the story of a delivery: its state, every attempt and request, why it waits, and what comes next",
    operands: [.init(name: "DELIVERY", about: "the delivery's number")]
  ) { invocation in
    let id = try invocation.id(invocation.operand(0), "DELIVERY")
    let story = try await invocation.withPool { pool in
      let held = try await HoldStore(pool: pool).current().map { [DeliveryExplanation.Hold($0)] } ?? []
      return try await pool.transaction(scope: .owner) { tx in
        try await read(id, holds: held, tx)
      }
    }
    invocation.show(try json(story)) { tell(story, invocation.terminal) }
    return .success
  }

  private static func read(
    _ id: Int64,
    holds: [DeliveryExplanation.Hold],
    _ tx: Transaction
  ) async throws -> DeliveryExplanation {
    do {
      return try await DeliveryStore().explain(id, holds: holds, in: tx)
    } catch let error as PublishingError where error.kind == .notFound {
      throw CommandError(.notFound, "There is no delivery \(id)")
    }
  }

  private static func tell(_ story: DeliveryExplanation, _ terminal: Terminal) {
    let (delivery, steps) = (story.delivery, story.steps)
    terminal.print(terminal.styled("Delivery \(delivery.id): \(delivery.state.rawValue)", .bold))
    terminal.print(
      "“\(delivery.postTitle)” (post \(delivery.postID), version \(delivery.postVersion)) to \(delivery.accountName) "
        + "on \(delivery.platform), site \(delivery.siteID)"
    )
    terminal.print(story.summary)
    if let error = delivery.error { terminal.print("Reason: \(reason(error))") }
    for warning in delivery.warnings { terminal.print("Warning: \(warning)") }
    for hold in story.holds {
      terminal.print("Waits: \(hold.message)\(hold.until.map { " (until \(RFC3339.format($0)))" } ?? "")")
    }
    if let next = story.next {
      terminal.print("Next: \(next)\(story.nextAt.map { " at \(RFC3339.format($0))" } ?? "")")
    }
    if let check = story.check { tell(check, terminal) }
    if !story.choices.isEmpty {
      terminal.print("You can: \(story.choices.map(\.rawValue).joined(separator: ", "))")
    }
    if !story.attempts.isEmpty {
      terminal.print()
      terminal.table(
        ["attempt", "claimed", "ended", "outcome", "error"],
        story.attempts.map { attempt in
          [
            "\(attempt.number)", attempt.claimedAt.map { RFC3339.format($0) } ?? "", RFC3339.format(attempt.endedAt),
            attempt.outcome, attempt.error ?? "",
          ]
        }
      )
    }
    guard !steps.isEmpty else { return }
    terminal.print()
    terminal.table(
      ["time", "run", "step", "try", "class", "outcome", "status", "remote id", "closed by", "sent (SHA-256)"],
      steps.map { step in
        [
          RFC3339.format(step.startedAt), "\(step.run)", step.step, "\(step.attempt)", step.effectClass,
          step.outcome ?? "open", step.status.map { "\($0)" } ?? "", step.remoteID ?? "", step.closedBy ?? "",
          String(step.digest.prefix(16)),
        ]
      }
    )
  }

  private static func tell(_ check: DeliveryExplanation.Check, _ terminal: Terminal) {
    terminal.print(
      "Look at \(check.accountURL ?? check.accountName), from \(RFC3339.format(check.from)) on, for this text:"
    )
    terminal.print(check.text.prefix(500).split(separator: "\n").map { "  \($0)" }.joined(separator: "\n"))
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

  private static func json(_ story: DeliveryExplanation) throws -> JSONValue {
    let (delivery, steps) = (story.delivery, story.steps)
    var members = try JSONValue.parse(Array(story.parts().text.utf8)).objectValue ?? [:]
    let own: [String: JSONValue] = [
      "id": .int(delivery.id), "siteId": .int(delivery.siteID), "distributionId": .int(delivery.distributionID),
      "connectionId": .int(delivery.connectionID), "platform": .string(delivery.platform),
      "accountName": .string(delivery.accountName), "postId": .int(delivery.postID),
      "postVersion": .int(Int64(delivery.postVersion)), "state": .string(delivery.state.rawValue),
      "attempts": .int(Int64(delivery.attempts)), "run": .int(Int64(delivery.run)),
      "scheduledFor": instant(delivery.scheduledFor), "nextAttemptAt": instant(delivery.nextAttemptAt),
      "url": text(delivery.url), "error": stored(delivery.error),
      "warnings": .array(delivery.warnings.map { .string($0) }),
      "summary": .string(story.summary), "steps": .array(steps.map(json)),
    ]
    members.merge(own) { $1 }
    return .object(members)
  }

  private static func json(_ step: DeliveryStep) -> JSONValue {
    [
      "run": .int(Int64(step.run)), "step": .string(step.step), "try": .int(Int64(step.attempt)),
      "rule": .string(step.rule), "class": .string(step.effectClass), "digest": .string(step.digest),
      "outcome": text(step.outcome),
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
