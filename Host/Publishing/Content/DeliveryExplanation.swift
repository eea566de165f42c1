package import FoundationEssentials
internal import JSONDocument
package import JSONText
package import Postgres

/// Everything there is to say about one delivery: what was tried, what was sent, why it waits, what comes next, and
/// what a person can do.
package struct DeliveryExplanation: Sendable, Equatable {
  /// One claim of the delivery by a host.
  package struct Attempt: Sendable, Equatable {
    package var number: Int
    package var claimedAt: Date?
    package var calledAt: Date?
    package var endedAt: Date
    package var outcome: String
    package var error: String?
  }

  /// A reason why nothing happens right now.
  package struct Hold: Sendable, Equatable {
    /// A stable word for programs.
    package var kind: String
    package var message: String
    /// When it ends by itself; nil when somebody has to do something, or when nobody knows.
    package var until: Date?

    package init(_ kind: String, _ message: String, until: Date? = nil) {
      self.kind = kind
      self.message = message
      self.until = until
    }

    /// The installation as a whole sends nothing.
    package init(_ hold: Publishing.Hold) {
      self.init("onHold", "The installation is on hold: \(hold.reason) \(Publishing.Hold.advice)")
    }
  }

  /// What a person looks for on the platform.
  package struct Check: Sendable, Equatable {
    package var accountName: String
    package var accountURL: String?
    package var text: String
    package var from: Date
    package var to: Date
  }

  /// Something that a person can do.
  package enum Choice: String, Sendable, CaseIterable {
    case published
    case notPublished = "not_published"
    case giveUp = "give_up"
    case retry
    case postedByHand = "posted_by_hand"
    case divert
    case cancel
    case resume
    case deleteOnPlatform = "delete_on_platform"
  }

  package var delivery: Delivery
  package var steps: [DeliveryStep]
  package var attempts: [Attempt]
  package var holds: [Hold]
  /// What happens next by itself, and when; nil when nothing does.
  package var next: String?
  package var nextAt: Date?
  package var check: Check?
  package var choices: [Choice]

  package var summary: String { DeliveryStory.summary(delivery, steps) }

  /// The parts beside delivery, summary and steps, as a JSON object.
  package func parts() -> RawJSON {
    RawJSON.object(capacity: 1024) { writer in
      writer.array("attempts", attempts) { writer, attempt in
        writer.object { writer in
          writer.field("attempt", attempt.number)
          writer.field("claimedAt", attempt.claimedAt.map(RFC3339.format))
          writer.field("calledAt", attempt.calledAt.map(RFC3339.format))
          writer.field("endedAt", RFC3339.format(attempt.endedAt))
          writer.field("outcome", attempt.outcome)
          writer.field("error", attempt.error)
        }
      }
      writer.array("holds", holds) { writer, hold in
        writer.object { writer in
          writer.field("kind", hold.kind)
          writer.field("message", hold.message)
          writer.field("until", hold.until.map(RFC3339.format))
        }
      }
      if let next {
        writer.object("next") { writer in
          writer.field("what", next)
          writer.field("at", nextAt.map(RFC3339.format))
        }
      }
      if let check {
        writer.object("check") { writer in
          writer.field("accountName", check.accountName)
          writer.field("accountUrl", check.accountURL)
          writer.field("text", check.text)
          writer.field("from", RFC3339.format(check.from))
          writer.field("to", RFC3339.format(check.to))
        }
      }
      writer.array("choices", choices) { writer, choice in writer.string(choice.rawValue) }
    }
  }
}

/// Where a delivery's job stands in the queue, and what could hold it there.
package struct QueueFacts: Sendable, Equatable {
  package enum Place: String, Sendable {
    case due
    case ready
    case parked
    case claimed
    case committing
    case unknown
    case none
  }

  package var place = Place.none
  package var dueAt: Date?
  package var checkAt: Date?
  package var checks = 0
  /// Jobs of the account that go first.
  package var ahead = 0
  package var isLaneFull = false
  package var isLanePaused = false
  package var isSitePaused = false
  package var groupPausedAt: Date?
  package var isCanceled = false
  package var gapUntil: Date?
  /// What keeps the account still, the longest first.
  package var blocks: [LaneHold] = []
  package var rateUntil: Date?
  package var poolUntil: Date?
  package var connectionStatus = "active"
  package var connectionReason: String?

  package init() {}
}

extension DeliveryStore {
  /// Reads everything about a delivery. Runs in a transaction confined to the site, or as the owner.
  ///
  /// - Parameter holds: what the reader knows beside the database, such as the state of the plugin.
  package func explain(
    _ id: Int64,
    holds: [DeliveryExplanation.Hold] = [],
    in tx: Transaction
  ) async throws -> DeliveryExplanation {
    let delivery = try await delivery(id, in: tx)
    let steps = try await steps(of: id, in: tx)
    var facts = try await facts(of: id, in: tx)
    if !delivery.state.isEnd {
      facts.blocks = try await LimitStore().holds(connection: delivery.connectionID, in: tx)
    }
    let own = delivery.state.isEnd ? [] : DeliveryStory.holds(facts, now: Date()) + holds
    let next = DeliveryStory.next(delivery, facts, own)
    return DeliveryExplanation(
      delivery: delivery,
      steps: steps,
      attempts: try await attempts(of: id, in: tx),
      holds: own,
      next: next?.what,
      nextAt: next?.at,
      check: delivery.state == .unconfirmed ? try await check(delivery, steps, in: tx) : nil,
      choices: DeliveryStory.choices(delivery, facts)
    )
  }

  private func attempts(of id: Int64, in tx: Transaction) async throws -> [DeliveryExplanation.Attempt] {
    let words: [Int16: String] = [
      1: "ended", 2: "failed", 3: "retried", 4: "putOff", 7: "unknown", 8: "canceled",
    ]
    return try await tx.query(
      """
      SELECT attempt, claimed_at, called_at, ended_at, outcome, error FROM (
        SELECT * FROM attempts WHERE job_id = \(id) ORDER BY ended_at DESC LIMIT 200
      ) a ORDER BY ended_at
      """
    ).map { row in
      DeliveryExplanation.Attempt(
        number: Int(try row.get("attempt", as: Int16.self)),
        claimedAt: try row.get("claimed_at"),
        calledAt: try row.get("called_at"),
        endedAt: try row.get("ended_at"),
        outcome: words[try row.get("outcome", as: Int16.self)] ?? "other",
        error: try row.get("error")
      )
    }
  }

  private func facts(of id: Int64, in tx: Transaction) async throws -> QueueFacts {
    let rows = try await tx.query(
      """
      SELECT l.phase, l.check_at, coalesce(l.checks, 0) AS checks, u.due_at,
        u.job_id IS NOT NULL AS is_due, r.job_id IS NOT NULL AS is_ready, k.job_id IS NOT NULL AS is_parked,
        (SELECT count(*) FROM ready x WHERE x.lane_id = d.lane_id
          AND (x.priority, x.due_at, x.job_id) < (r.priority, r.due_at, r.job_id)) AS ahead,
        coalesce(o.inflight >= o.cap, false) AS is_full, coalesce(o.paused, false) AS lane_paused,
        coalesce(q.paused, false) AS site_paused, g.paused_at,
        g.canceled_at IS NOT NULL OR j.canceled_at IS NOT NULL AS is_canceled,
        CASE WHEN o.next_slot_at > now() AND o.next_slot_at < 'infinity' THEN o.next_slot_at END AS gap_until,
        CASE WHEN o.rate_interval IS NOT NULL AND o.tat - o.rate_burst > now() THEN o.tat - o.rate_burst END AS rate_until,
        CASE WHEN p.rate_interval IS NOT NULL AND p.tat - p.rate_burst > now() THEN p.tat - p.rate_burst END AS pool_until,
        c.status, c.status_reason
      FROM deliveries d
      JOIN platform_connections c ON c.id = d.connection_id
      LEFT JOIN jobs j ON j.job_id = d.id
      LEFT JOIN leases l ON l.job_id = d.id
      LEFT JOIN due u ON u.job_id = d.id
      LEFT JOIN ready r ON r.lane_id = d.lane_id AND r.job_id = d.id
      LEFT JOIN parked k ON k.group_id = d.distribution_id AND k.job_id = d.id
      LEFT JOIN lanes o ON o.lane_id = d.lane_id
      LEFT JOIN lane_pools p ON p.pool_id = o.pool_id
      LEFT JOIN queue_sites q ON q.site_id = d.site_id
      LEFT JOIN job_groups g ON g.group_id = d.distribution_id
      WHERE d.id = \(id)
      """
    )
    guard let row = rows.first else { throw PublishingError.notFound("delivery", id) }
    var facts = QueueFacts()
    switch try row.get("phase", as: Int16?.self) {
    case 1: facts.place = .claimed
    case 2: facts.place = .committing
    case 3: facts.place = .unknown
    default:
      if try row.get("is_ready") { facts.place = .ready }
      if try row.get("is_parked") { facts.place = .parked }
      if try row.get("is_due") { facts.place = .due }
    }
    facts.dueAt = try row.get("due_at")
    facts.checkAt = try row.get("check_at")
    facts.checks = Int(try row.get("checks", as: Int32.self))
    facts.ahead = Int(try row.get("ahead", as: Int64.self))
    facts.isLaneFull = try row.get("is_full")
    facts.isLanePaused = try row.get("lane_paused")
    facts.isSitePaused = try row.get("site_paused")
    facts.groupPausedAt = try row.get("paused_at")
    facts.isCanceled = try row.get("is_canceled")
    facts.gapUntil = try row.get("gap_until")
    facts.rateUntil = try row.get("rate_until")
    facts.poolUntil = try row.get("pool_until")
    facts.connectionStatus = try row.get("status")
    facts.connectionReason = try row.get("status_reason")
    return facts
  }

  /// What to look for: the text as it was sent, around the time of the requests that got no answer.
  private func check(
    _ delivery: Delivery,
    _ steps: [DeliveryStep],
    in tx: Transaction
  ) async throws -> DeliveryExplanation.Check {
    let rows = try await tx.query(
      """
      SELECT c.account_name, c.account_url, i.variant ->> 'text' AS text, v.excerpt, v.title
      FROM deliveries d
      JOIN platform_connections c ON c.id = d.connection_id
      JOIN post_versions v ON v.post_id = d.post_id AND v.version = d.post_version
      LEFT JOIN delivery_inputs i ON i.delivery_id = d.id AND i.run = d.run
      WHERE d.id = \(delivery.id)
      """
    )
    guard let row = rows.first else { throw PublishingError.notFound("delivery", delivery.id) }
    let excerpt: String = try row.get("excerpt")
    let fallback = excerpt.isEmpty ? try row.get("title", as: String.self) : excerpt
    let open = steps.filter { $0.effectClass == "commit" && ($0.outcome ?? "unknown") == "unknown" }
    let from = open.map { $0.sentAt ?? $0.startedAt }.min() ?? delivery.scheduledFor
    let to = open.map { $0.lastByteAt ?? $0.startedAt }.max() ?? delivery.endedAt ?? from
    return DeliveryExplanation.Check(
      accountName: try row.get("account_name"),
      accountURL: try row.get("account_url"),
      text: try row.get("text", as: String?.self) ?? fallback,
      from: from,
      to: max(from, to)
    )
  }
}
