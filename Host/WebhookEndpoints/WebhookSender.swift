internal import Cryptography
package import Egress
internal import FoundationEssentials
package import HTTPClient
internal import JSONDocument
package import JobQueue
package import Logging
package import Postgres
internal import Synchronization
package import Vault

/// Sends messages: one signed request a try, to the address that its owner gave.
package final class WebhookSender: JobHandler {
  /// The kind of the jobs and of the lanes; each endpoint has a lane of its own.
  package static let kind = "webhook"

  private struct Task {
    var message: Int64
    var endpoint: Int64
    var site: Int64
    var url: String
    var body: String
    var eventID: String
    var isOpen: Bool
    var isActive: Bool
    /// Whether the hosts send nothing, because their database may be a copy.
    var isHeld: Bool
    var age: Double
    var failures: Int
    var failingFor: Double?
    /// The present secret and, for a while, the one before.
    var secrets: [(bytes: [UInt8], keyID: Int64, context: SealContext)] = []
  }

  /// Requests on the way. Endpoints that fail or are slow must not take the places of deliveries.
  private struct Load {
    var all = 0
    var failing = 0
  }

  private let pool: Pool
  private let vault: Vault
  private let client: HTTPClient
  private let policy: AddressPolicy
  private let logger: Logger
  private let places: Int
  private let failingPlaces: Int
  private let load = Mutex(Load())
  /// Puts jobs forward that wait after failures.
  private let hasten: Mutex<@Sendable ([Int64]) async throws -> Void>

  private static let timeout: Duration = .seconds(15)
  private static let connectTimeout: Duration = .seconds(5)
  private static let holdInterval: Duration = .seconds(5)
  /// Bytes of an answer that are read, and kept for people.
  private static let answerBytes = 16 << 10
  private static let keptBytes = 1_024

  /// - Parameters:
  ///   - slots: Jobs that this host runs at the same time; webhooks take half of them at most.
  package init(pool: Pool, vault: Vault, client: HTTPClient, policy: AddressPolicy, slots: Int, logger: Logger) {
    self.pool = pool
    self.vault = vault
    self.client = client
    self.policy = policy
    self.logger = logger
    places = max(1, slots / 2)
    failingPlaces = max(1, slots / 8)
    hasten = Mutex { _ in }
  }

  /// Names the queue, which is made after its handlers.
  package func follow(_ queue: JobQueue) {
    hasten.withLock { $0 = { _ = try await queue.reschedule($0, to: Date()) } }
  }

  package func run(_ job: ClaimedJob) async -> JobOutcome {
    do {
      return try await work(on: job)
    } catch let error as PostgresError {
      return .retry(after: .seconds(5), error: "The message could not be read: \(error)")
    } catch {
      return .retry(after: .seconds(60), error: "The message could not be sent: \(error)")
    }
  }

  private func work(on job: ClaimedJob) async throws -> JobOutcome {
    guard let task = try await read(job) else { return .finished() }
    guard task.isOpen else { return .finished() }
    var report = StoreAttempt(message: task.message, endpoint: task.endpoint, site: task.site)
    guard task.isActive else {
      report.end = .failed
      return .finished(with: report)
    }
    // A copy of a database must not tell its receivers what they know from the original.
    if task.isHeld { return .snoozed(for: Self.holdInterval) }
    let isFailing = task.failures > 0
    guard enter(isFailing) else { return .snoozed(for: .milliseconds(Int64.random(in: 500...1_500))) }
    defer { leave(isFailing) }
    let secrets = try await open(task)
    let started = ContinuousClock.now
    report.requestedAt = Date()
    let answer = await send(task, secrets, &report)
    report.milliseconds = Int((ContinuousClock.now - started).seconds * 1_000)
    let verdict = WebhookPolicy(
      answer,
      WebhookPolicy.Facts(
        attempt: job.attempt,
        age: .seconds(task.age),
        failures: task.failures,
        failingFor: task.failingFor.map { .seconds($0) }
      )
    )
    report.disabledReason = verdict.disabledReason
    switch verdict.next {
    case .delivered:
      report.end = .delivered
      if verdict.wakesWaiting { await wakeWaiting(task.endpoint) }
      return .finished(with: report)
    case .giveUp:
      report.end = .failed
      return .finished(with: report)
    case .retry(let delay):
      let outcome = JobOutcome.retry(after: delay, error: report.error ?? "refused", with: report)
      return verdict.pause.map { outcome.blockingLane(for: $0, .breaker) } ?? outcome
    }
  }

  // MARK: One request

  private func send(_ task: Task, _ secrets: [Secret], _ report: inout StoreAttempt) async -> WebhookPolicy.Answer {
    let target: TargetURL
    do throws(TargetURLError) {
      target = policy.resolved(try TargetURL(task.url))
    } catch {
      report.error = "The address \(error)"
      return .refused
    }
    if let objection = policy.objection(to: target) {
      report.error = "The address may not be used: \(objection)"
      return .refused
    }
    let body = Array(task.body.utf8)
    let seconds = Int64(Date().timeIntervalSince1970)
    let signed = secrets.compactMap {
      StandardWebhooks.headers(id: task.eventID, seconds: seconds, body: body, secret: $0)
    }
    guard var headers = signed.first else {
      report.error = "The secret of the endpoint can not be used"
      return .refused
    }
    // Both secrets sign while one takes the place of the other; receivers look for any signature that fits.
    let signatures = signed.compactMap { $0.first { $0.0 == "webhook-signature" }?.1 }.joined(separator: " ")
    headers = headers.map { $0.0 == "webhook-signature" ? ($0.0, signatures) : $0 }
    headers.append(("Content-Type", "application/json"))
    let policy = policy
    let outcome = await client.perform(
      OutgoingRequest(
        method: "POST",
        url: "\(target)",
        headers: headers,
        body: .bytes(body),
        timeout: Self.timeout,
        connectTimeout: Self.connectTimeout,
        maximumResponseBytes: Self.answerBytes,
        addressPolicy: { socket in
          IPAddress(bytes: socket.bytes).map { policy.permits($0, port: Int(socket.port), for: target) } ?? false
        }
      )
    )
    switch outcome {
    case .response(let response):
      report.status = response.status
      report.answer = Self.kept(response.body, without: secrets)
      guard !(200..<300).contains(response.status) else { return .status(response.status) }
      report.error =
        (300..<400).contains(response.status)
        ? "The receiver answered \(response.status); redirects are not followed"
        : "The receiver answered \(response.status)"
      return .status(response.status, retryAfter: Self.wish(response))
    case .notSent(let what):
      report.error = "Not sent: \(what.detail)"
      return what.reason == .addressDenied ? .refused : .none
    case .unknown(let what):
      report.error = "No whole answer: \(what.detail)"
      return .none
    }
  }

  /// The first bytes of an answer as text that can be stored and shown.
  static func kept(_ body: [UInt8], without secrets: [Secret]) -> String? {
    guard !body.isEmpty else { return nil }
    let clean = Redactor(secrets).redact(body).bytes.prefix(keptBytes)
    let text = String(decoding: clean, as: UTF8.self)
    return String(
      text.unicodeScalars.map { scalar in
        let isPlain = scalar.value >= 0x20 && scalar.value != 0x7F || scalar == "\n" || scalar == "\t"
        return isPlain ? Character(scalar) : "\u{FFFD}"
      }
    )
  }

  private static func wish(_ response: Response) -> Duration? {
    guard response.status == 429 || response.status == 503, let text = response.headers["retry-after"] else {
      return nil
    }
    if let seconds = Int64(text) { return seconds >= 0 ? .seconds(min(seconds, 86_400)) : nil }
    return HTTPDate.parse(text).map { .seconds(min(86_400, max(0, $0.timeIntervalSinceNow))) }
  }

  // MARK: The database

  private func read(_ job: ClaimedJob) async throws -> Task? {
    guard let payload = job.payload, let id = try JSONValue.parse(Array(payload.utf8))["message"]?.int64Value else {
      return nil
    }
    let rows = try await pool.query(
      """
      SELECT m.id, m.event_id, m.body, m.state, e.id AS endpoint_id, e.site_id, e.url, e.failures,
        e.is_active AND e.deleted_at IS NULL AS is_active,
        EXISTS (SELECT FROM holds h WHERE h.ended_at IS NULL) AS is_held,
        extract(epoch FROM clock_timestamp() - m.queued_at)::float8 AS age,
        extract(epoch FROM clock_timestamp() - e.failing_since)::float8 AS failing_for,
        e.sealed_secret, e.key_id, e.generation,
        CASE WHEN e.previous_until > clock_timestamp() THEN e.sealed_previous END AS sealed_previous,
        e.previous_key_id, e.previous_generation
      FROM event_deliveries m JOIN event_endpoints e ON e.id = m.endpoint_id WHERE m.id = \(id)
      """
    )
    guard let row = rows.first else { return nil }
    let (endpoint, site): (Int64, Int64) = (try row.get("endpoint_id"), try row.get("site_id"))
    var task = Task(
      message: id,
      endpoint: endpoint,
      site: site,
      url: try row.get("url"),
      body: try row.get("body"),
      eventID: WebhookBody.id(try row.get("event_id")),
      isOpen: try row.get("state", as: String.self) == WebhookMessage.State.pending.rawValue,
      isActive: try row.get("is_active"),
      isHeld: try row.get("is_held"),
      age: try row.get("age"),
      failures: Int(try row.get("failures", as: Int32.self)),
      failingFor: try row.get("failing_for")
    )
    guard task.isActive, task.isOpen else { return task }
    task.secrets.append(
      (
        try row.get("sealed_secret"), try row.get("key_id"),
        .webhookSecret(endpoint, site: site, generation: try row.get("generation"))
      )
    )
    if let previous = try row.get("sealed_previous", as: [UInt8]?.self),
      let key = try row.get("previous_key_id", as: Int64?.self),
      let generation = try row.get("previous_generation", as: Int64?.self)
    {
      task.secrets.append((previous, key, .webhookSecret(endpoint, site: site, generation: generation)))
    }
    return task
  }

  private func open(_ task: Task) async throws -> [Secret] {
    var secrets: [Secret] = []
    for (bytes, key, context) in task.secrets {
      secrets.append(try await vault.open(stored: bytes, keyID: key, for: context))
    }
    return secrets
  }

  /// The endpoint answers again: what waits for its next try waits no longer.
  private func wakeWaiting(_ endpoint: Int64) async {
    do {
      let jobs: [Int64] = try await pool.query(
        """
        SELECT job_id FROM event_deliveries
        WHERE endpoint_id = \(endpoint) AND state = 'pending' AND attempts > 0 AND job_id IS NOT NULL LIMIT 1000
        """
      ).map { try $0.get(0) }
      if !jobs.isEmpty { try await hasten.withLock { $0 }(jobs) }
    } catch {
      // They come at their own time.
      logger.warning(
        "Messages that wait could not be put forward",
        ["endpoint": .int(Int(endpoint)), "error": "\(error)"]
      )
    }
  }

  // MARK: Places

  private func enter(_ isFailing: Bool) -> Bool {
    load.withLock { load in
      guard load.all < places, !isFailing || load.failing < failingPlaces else { return false }
      load.all += 1
      if isFailing { load.failing += 1 }
      return true
    }
  }

  private func leave(_ isFailing: Bool) {
    load.withLock { load in
      load.all -= 1
      if isFailing { load.failing -= 1 }
    }
  }
}
