import FoundationEssentials
import HTTPServer
import JSONDocument
import JobQueue
import Logging
import PluginHost
import Postgres
import Publishing

/// Whether the host is alive, able to work, and how it does.
enum HealthRoutes {
  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: "/health/live",
      summary: "Whether the process answers",
      access: .open,
      success: .json(200, .object([.required("status", .choice(["live"]))])),
      handler: { _ in Envelope.ok(["status": "live"]) }
    ),
    Endpoint(
      method: .get,
      path: "/health",
      summary: "Whether the host can do its work: database, queue and plugins",
      access: .open,
      success: .json(200, .any),
      handler: health
    ),
    Endpoint(
      method: .get,
      path: "/metrics",
      summary: "Counters in the OpenMetrics format",
      access: .operatorOnly,
      success: .other("application/openmetrics-text"),
      handler: metrics
    ),
  ]

  /// A runnable job that nobody claims for this long means that the queue does not work.
  private static let longestWait: Duration = .seconds(60)

  private static func health(_ context: APIContext) async throws -> HTTPResponse {
    let services = context.services
    let queue: QueueHealth
    let hold: JSONValue
    do {
      queue = try await services.queue.health()
      hold = try await HoldRoutes.json(of: HoldStore(pool: services.pool))
    } catch {
      services.logger.warning("The health check could not read the queue", ["error": "\(error)"])
      throw HTTPProblem.unavailable("The database is not available")
    }
    // On hold due jobs wait on purpose, and people must still reach the host to end it.
    let isHealthy = queue.longestWait < longestWait || !hold.isNull
    let plugins = services.plugins.status().map { status in
      JSONValue.object([
        "id": .string(status.id), "version": .string(status.version), "state": .string(status.state.rawValue),
      ])
    }
    guard isHealthy else {
      throw HTTPProblem.unavailable("A runnable job has been waiting for more than 60 s; see the host's log")
    }
    return Envelope.ok([
      "status": hold.isNull ? "healthy" : "onHold",
      "version": .string(services.version),
      "queue": [
        "ready": .int(Int64(queue.ready)), "inFlight": .int(Int64(queue.inFlight)),
        "unknown": .int(Int64(queue.unknown)), "overdue": .int(Int64(queue.overdue)),
      ],
      "plugins": .array(plugins),
      "hold": hold,
    ])
  }

  private static func metrics(_ context: APIContext) async throws -> HTTPResponse {
    let snapshot = context.services.queue.metrics.snapshot
    let counters: [(String, String, Int)] = [
      ("jobs_claimed", "Jobs that this host claimed", snapshot.claimed),
      ("jobs_finished", "Jobs that ended well", snapshot.finished),
      ("jobs_retried", "Attempts that counted and come again", snapshot.retried),
      ("jobs_snoozed", "Attempts that did not count", snapshot.snoozed),
      ("jobs_unknown", "Attempts whose outcome was not known", snapshot.unknown),
      ("jobs_stale", "Ends that came after the lease was lost", snapshot.stale),
      ("jobs_rescued", "Jobs taken back from dead hosts", snapshot.rescued),
      ("queue_flushes", "Group commits of the queue", snapshot.flushes),
      ("queue_flushed_rows", "Rows written by them", snapshot.flushedRows),
    ]
    var text = ""
    for (name, help, value) in counters {
      text += "# TYPE rostrum_\(name) counter\n# HELP rostrum_\(name) \(help)\nrostrum_\(name)_total \(value)\n"
    }
    text += plugins(context.services.plugins.status())
    text += "# TYPE rostrum_job_lateness_seconds histogram\n# HELP rostrum_job_lateness_seconds Start after due time\n"
    var sum = 0
    for (bound, count) in zip(QueueMetrics.latenessBounds, snapshot.lateness) {
      sum += count
      text += "rostrum_job_lateness_seconds_bucket{le=\"\(Double(bound) / 1000)\"} \(sum)\n"
    }
    sum += snapshot.lateness.last ?? 0
    text += "rostrum_job_lateness_seconds_bucket{le=\"+Inf\"} \(sum)\n"
    text += "rostrum_job_lateness_seconds_count \(sum)\n"
    text += "rostrum_job_lateness_seconds_sum \(snapshot.latenessSum.seconds)\n# EOF\n"
    return .bytes(Array(text.utf8), contentType: "application/openmetrics-text; version=1.0.0; charset=utf-8")
  }

  private static func plugins(_ states: [PluginStatus]) -> String {
    let families: [(name: String, type: String, help: String, value: (PluginStatus) -> Int)] = [
      ("plugin_running", "gauge", "Whether the plugin's process runs", { $0.state == .running ? 1 : 0 }),
      ("plugin_quarantined", "gauge", "Whether the plugin is shut out", { $0.state == .quarantined ? 1 : 0 }),
      ("plugin_open_calls", "gauge", "Calls that are open", \.openCalls),
      ("plugin_calls", "counter", "Calls that were opened", \.counters.calls),
      ("plugin_starts", "counter", "Processes that were started", \.counters.starts),
      ("plugin_crashes", "counter", "Processes that ended unasked and failed starts", \.counters.crashes),
      ("plugin_stray_lines", "counter", "Lines on standard output that were no messages", \.counters.strayLines),
      ("plugin_stderr_bytes", "counter", "Bytes of standard error", \.counters.errorBytes),
      ("plugin_dropped_lines", "counter", "Lines and messages that were not logged", \.counters.dropped),
    ]
    return families.map { family in
      let suffix = family.type == "counter" ? "_total" : ""
      let lines = states.map { status in
        "rostrum_\(family.name)\(suffix){plugin=\"\(status.id)\",version=\"\(status.version)\"} \(family.value(status))\n"
      }
      return "# TYPE rostrum_\(family.name) \(family.type)\n# HELP rostrum_\(family.name) \(family.help)\n"
        + lines.joined()
    }.joined()
  }
}
