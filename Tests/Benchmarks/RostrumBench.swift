import FoundationEssentials
import Glibc
import JSONDocument
import Logging
import Postgres

/// The parts of the benchmarks that must not be slower than what they measure.
///
/// `.ci/bench` drives it; each command prints one JSON object.
@main
enum RostrumBench {
  private static let usage = """
    rostrum-bench cluster --home FOLDER --migrations FOLDER
    rostrum-bench pipeline --database URL --jobs N
    rostrum-bench latency --database URL --rate N --seconds N
    rostrum-bench insert --database URL --jobs N
    rostrum-bench future --database URL --rows N
    rostrum-bench fairness --database URL --seconds N
    rostrum-bench groups --database URL --jobs N
    rostrum-bench pinned --database URL --rate N --seconds N --before N --after N
    rostrum-bench bloat --database URL --seconds N
    rostrum-bench idle --database URL
    rostrum-bench notify --database URL --seconds N
    rostrum-bench fanout --database URL --rounds N
    rostrum-bench plugin --manifest FILE --executable FILE --calls N --depth N
    rostrum-bench jail --launcher FILE --manifest FILE --executable FILE --calls N --starts N
    rostrum-bench fleet --launcher FILE --manifest FILE --executable FILE --count N
    rostrum-bench gate --url URL --requests N
    rostrum-bench upload --url URL --bytes N
    rostrum-bench vault --database URL --reads N
    rostrum-bench renew --database URL --server URL --home FOLDER --rotation R --tasks N --lease MILLISECONDS < orders
    rostrum-bench load --url URL --rate N --token TOKEN < bodies
    """

  static func main() async {
    // A reader that goes away ends the output, not the program.
    _ = signal(SIGPIPE, SIG_IGN)
    let words = Array(CommandLine.arguments.dropFirst())
    do {
      try await Logger.$current.withValue(Logger(sink: JSONLinesSink(), minimumLevel: .warning)) {
        try await run(words.first ?? "", try BenchOptions(Array(words.dropFirst())))
      }
    } catch {
      complain("rostrum-bench: \(error)\n\(usage)\n")
      exit(1)
    }
  }

  private static func run(_ command: String, _ options: BenchOptions) async throws {
    switch command {
    case "cluster":
      try await BenchCluster(home: options.text("home"), migrations: options.text("migrations")).hold()
    case "pipeline":
      let bench = QueueBench(database: try Configuration(url: options.text("database")))
      let report = try await bench.burnDown(count: options.number("jobs"))
      show(["jobsPerSecond": .double(report.jobsPerSecond), "rowsPerFlush": .double(report.rowsPerFlush)])
    case "latency":
      let bench = QueueBench(database: try Configuration(url: options.text("database")))
      let report = try await bench.latency(rate: options.number("rate"), seconds: options.number("seconds"))
      show(["p50": .double(report.latencyP50), "p99": .double(report.latencyP99)])
    case "insert", "future", "fairness", "groups":
      try await goal(command, GoalBench(database: try Configuration(url: options.text("database"))), options)
    case "pinned", "bloat":
      try await steady(command, SteadyBench(database: try Configuration(url: options.text("database"))), options)
    case "idle":
      try await NotifyBench(database: try Configuration(url: options.text("database"))).hold()
    case "notify":
      let bench = NotifyBench(database: try Configuration(url: options.text("database")))
      let report = try await bench.insert(seconds: options.number("seconds"))
      show(["insertsPerSecond": .double(report.insertsPerSecond), "seconds": .double(report.seconds)])
    case "fanout":
      let bench = NotifyBench(database: try Configuration(url: options.text("database")))
      let report = try await bench.fanOut(rounds: options.number("rounds"))
      show([
        "firstP50": .double(report.firstP50), "lastP50": .double(report.lastP50), "lastP99": .double(report.lastP99),
      ])
    case "vault":
      let bench = VaultBench(database: try Configuration(url: options.text("database")))
      let report = try await bench.read(count: options.number("reads"))
      show([
        "warm50": .double(report.warm50), "warm99": .double(report.warm99), "cold50": .double(report.cold50),
        "cold99": .double(report.cold99),
      ])
    case "renew":
      try await RenewalBench(
        database: try Configuration(url: options.text("database")),
        server: try options.text("server"),
        folder: try options.text("home"),
        rotation: try options.text("rotation"),
        tasks: try options.number("tasks"),
        leaseMilliseconds: try options.number("lease")
      ).run()
    case "plugin":
      let bench = try PluginBench(manifest: try options.text("manifest"), executable: try options.text("executable"))
      let report = try await bench.run(calls: options.number("calls"), depth: options.number("depth"))
      show([
        "p50": .double(report.p50), "p99": .double(report.p99), "callsPerSecond": .double(report.callsPerSecond),
        "requestBytes": .int(Int64(report.requestBytes)), "replyBytes": .int(Int64(report.replyBytes)),
      ])
    case "jail":
      let bench = JailBench(
        launcher: try options.text("launcher"),
        manifest: try options.text("manifest"),
        executable: try options.text("executable")
      )
      let report = try await bench.run(calls: options.number("calls"), starts: options.number("starts"))
      show([
        "tier": .string(report.tier), "plainCall": .double(report.plainCall), "jailedCall": .double(report.jailedCall),
        "plainStart95": .double(report.plainStart95), "jailedStart50": .double(report.jailedStart50),
        "jailedStart95": .double(report.jailedStart95),
      ])
    case "fleet":
      let fleet = FleetBench(
        launcher: try options.text("launcher"),
        manifest: try options.text("manifest"),
        executable: try options.text("executable")
      )
      try await fleet.hold(count: options.number("count"))
    case "gate":
      let report = try await EgressBench(url: options.text("url")).compare(requests: options.number("requests"))
      show(["direct": .double(report.direct), "gate": .double(report.gate), "overhead": .double(report.overhead)])
    case "upload":
      let report = try await EgressBench(url: options.text("url")).upload(bytes: options.number("bytes"))
      show(["seconds": .double(report.seconds), "growth": .double(report.growth)])
    case "load":
      let load = OpenLoop(url: try options.text("url"), token: try options.text("token"))
      let report = try await load.run(bodies: try BenchInput.lines(), rate: options.number("rate"))
      show([
        "p50": .double(report.p50), "p95": .double(report.p95), "p99": .double(report.p99),
        "errors": .int(Int64(report.errors)), "achieved": .double(report.achieved),
      ])
    default:
      throw BenchError("There is no command “\(command)”")
    }
  }

  private static func goal(_ command: String, _ bench: GoalBench, _ options: BenchOptions) async throws {
    switch command {
    case "insert":
      let report = try await bench.insert(jobs: options.number("jobs"))
      show(["jobsPerSecond": .double(report.jobsPerSecond), "groupP50": .double(report.groupP50)])
    case "future":
      let report = try await bench.future(rows: options.number("rows"))
      show([
        "emptyP99": .double(report.emptyP99), "fullP99": .double(report.fullP99),
        "promotionP50": .double(report.promotionP50), "promotionP99": .double(report.promotionP99),
        "lateP50": .double(report.lateness.latencyP50), "lateP99": .double(report.lateness.latencyP99),
        "earliest": .double(report.lateness.latencyMinimum), "burst": .double(report.burst.latencyMaximum),
      ])
    case "fairness":
      let report = try await bench.fairness(seconds: options.number("seconds"))
      show([
        "aloneP99": .double(report.aloneP99), "besideP50": .double(report.besideP50),
        "besideP99": .double(report.besideP99),
      ])
    default:
      let (commit, pause, cancel) = try await bench.groups(jobs: options.number("jobs"))
      show(["commit": .double(commit), "pause": .double(pause), "cancel": .double(cancel)])
    }
  }

  private static func steady(_ command: String, _ bench: SteadyBench, _ options: BenchOptions) async throws {
    let seconds = try options.number("seconds")
    if command == "pinned" {
      let report = try await bench.pinned(
        rate: options.number("rate"),
        seconds: seconds,
        before: options.number("before"),
        after: options.number("after")
      )
      show([
        "beforeP50": .double(report.beforeP50), "beforeP99": .double(report.beforeP99),
        "pinnedP50": .double(report.pinnedP50), "pinnedP99": .double(report.pinnedP99),
        "endP99": .double(report.endP99), "rate": .double(report.rate), "backlog": .int(Int64(report.backlog)),
        "deadBefore": .int(Int64(report.deadBefore)), "deadPinned": .int(Int64(report.deadPinned)),
        "latencyBack": report.latencyBack.map { .double($0) } ?? .null,
        "deadBack": report.deadBack.map { .double($0) } ?? .null,
      ])
    } else {
      let report = try await bench.bloat(seconds: seconds)
      show([
        "jobs": .int(Int64(report.jobs)), "rate": .int(Int64(report.rate)), "firstP99": .double(report.firstP99),
        "lastP99": .double(report.lastP99),
        "tables": .array(
          SteadyBench.tables.map { table in
            [
              "name": .string(table), "smallest": .int(report.smallest[table] ?? 0),
              "largest": .int(report.largest[table] ?? 0),
            ]
          }
        ),
      ])
    }
  }

  /// Prints one line and makes sure that its reader has it.
  static func show(_ object: JSONValue) {
    print(object.text())
    fflush(nil)
  }

  private static func complain(_ text: String) {
    // There is nobody left to tell when this fails.
    _ = unsafe Array(text.utf8).withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }
}

/// Why a benchmark did not run.
struct BenchError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}

/// The options `--name value` of a command line.
struct BenchOptions {
  private var values: [String: String] = [:]

  init(_ words: [String]) throws(BenchError) {
    var rest = words[...]
    while let word = rest.popFirst() {
      guard word.hasPrefix("--"), let value = rest.popFirst() else {
        throw BenchError("“\(word)” is no option with a value")
      }
      values[String(word.dropFirst(2))] = value
    }
  }

  func text(_ name: String) throws(BenchError) -> String {
    guard let value = values[name] else { throw BenchError("--\(name) is missing") }
    return value
  }

  func number(_ name: String) throws(BenchError) -> Int {
    guard let number = Int(try text(name)), number > 0 else { throw BenchError("--\(name) is no positive number") }
    return number
  }
}

/// What stands on standard input.
enum BenchInput {
  /// Every line up to its end.
  static func lines() throws(BenchError) -> [[UInt8]] {
    var lines: [[UInt8]] = []
    while let line = readLine() {
      lines.append(Array(line.utf8))
    }
    guard !lines.isEmpty else { throw BenchError("Standard input is empty") }
    return lines
  }
}
