import Audit
import Cryptography
import Egress
import FoundationEssentials
import Glibc
import HTTPClient
import JSONText
import Logging
import MediaStore
import OAuth
import PluginHost
import PluginManifest
import Postgres
import Processes
import TestSupport
import Testing
import Vault

@testable import JobQueue
@testable import Publishing

/// Publishing with real parts: a database, a plugin that is a shell script, and a platform that counts.
///
/// The queue does not run. The test claims, runs and settles by hand, so that every step is its own decision.
struct PublishingFixture: Sendable {
  let pool: Pool
  let queue: JobQueue
  let assembly: PublishingAssembly
  let dispatcher: Dispatcher
  let control: DeliveryControl
  let effects: BatchWriter
  let platform: ProbePlatform
  let vault: Vault
  let plugins: PluginHost
  let apps: PlatformApps
  let endpoint: TokenEndpoint
  let log: MemorySink
  let folder: String
  let site: Int64
  let user: Int64
  let connection: Int64
  let lane: Int64

  var store: JournalStore { JournalStore(pool: pool) }
  var spoolPath: String { folder + "/spool" }

  /// Shell functions: `say` writes a line; `next` reads a call into `method`, `id` and `call`; `http rule step json`
  /// asks the host and leaves the answer in `reply`; `ok`, `fail` and `die` end a call.
  private static let library = #"""
    say() { printf '%s\n' "$1"; }
    next() {
      IFS= read -r line || exit 0
      method=${line#*'"method":"'}; method=${method%%'"'*}
      id=${line#*'"id":'}; id=${id%%[,\}]*}
      call=${line#*'"call":"'}; call=${call%%'"'*}
    }
    n=0
    ask() {
      n=$((n+1))
      say '{"jsonrpc":"2.0","id":'$n',"method":"host/http","params":{"call":"'"$call"'","rule":"'"$1"'","step":"'"$2"'"'"$3"'}}'
    }
    http() { ask "$1" "$2" ',"json":'"$3"; IFS= read -r reply || exit 0; }
    get() { ask "$1" "$2" ''; IFS= read -r reply || exit 0; }
    failed() { case $reply in *'"error"'*) return 0;; *) return 1;; esac; }
    answer() { say '{"jsonrpc":"2.0","id":'"$id"',"result":'"$1"'}'; }
    ok() { answer '{"remoteId":"'"$1"'","url":"https://a.example/'"$1"'","warnings":[]}'; }
    fail() { say '{"jsonrpc":"2.0","id":'"$id"',"error":{"code":-32603,"message":"no","data":{"kind":"'"$1"'","retry":"'"$2"'"'"$3"'}}}'; }
    die() { kill -9 $$; }
    once() { if [ -e "$0.$1" ]; then return 1; fi; : > "$0.$1"; }
    """#

  /// Makes everything, with one post-able account, and runs the body.
  ///
  /// - Parameters:
  ///   - script: Answers calls of publish and reconcile, one turn of a loop for each.
  static func run(
    _ script: String = "fail internal never",
    manifest: String = ProbeManifest.text(),
    sendDeadline: @escaping @Sendable () -> ContinuousClock.Instant? = { nil },
    duplicateWindow: TimeInterval = 0,
    _ body: (PublishingFixture) async throws -> Void
  ) async throws {
    let platform = ProbePlatform()
    let folder = FileManager.default.temporaryDirectory.path + "/publishing-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let database = try TestDatabase.current
    let result: Result<Void, any Error>
    do {
      try await platform.serve { port in
        try await database.withPool(size: 6) { pool in
          let fixture = try await PublishingFixture(
            script,
            manifest: manifest,
            folder: folder,
            pool: pool,
            platform: platform,
            port: port,
            sendDeadline: sendDeadline,
            duplicateWindow: duplicateWindow
          )
          do {
            try await body(fixture)
          } catch {
            await fixture.close()
            throw error
          }
          await fixture.close()
        }
      }
      result = .success(())
    } catch {
      result = .failure(error)
    }
    try FileManager.default.removeItem(atPath: folder)
    try result.get()
  }

  private init(
    _ script: String,
    manifest: String,
    folder: String,
    pool: Pool,
    platform: ProbePlatform,
    port: UInt16,
    sendDeadline: @escaping @Sendable () -> ContinuousClock.Instant?,
    duplicateWindow: TimeInterval
  ) async throws {
    self.pool = pool
    self.platform = platform
    self.folder = folder
    log = MemorySink()
    let logger = Logger(sink: log, minimumLevel: .debug)
    let spawner = try Spawner()
    let parsed = try PluginManifest.parse(Array(manifest.utf8))
    try await Self.write(script, version: "\(parsed.version)", methods: parsed.methods, to: folder + "/plugin", spawner)
    plugins = PluginHost(
      plugins: [InstalledPlugin(manifest: parsed, executable: folder + "/plugin")],
      spawner: spawner,
      logger: logger
    )
    let policy = try AddressPolicy(
      allow: "127.0.0.1:\(port)",
      overrides: "https://api.example.com=http://127.0.0.1:\(port)"
    )
    vault = try await Vault(
      pool: pool,
      keyring: Keyring(Secret("1:\(Base64.encode([UInt8](repeating: 1, count: 32)))"))
    )
    effects = BatchWriter(pool.configuration, logger: logger)
    let client = try HTTPClient()
    apps = PlatformApps(pool: pool, vault: vault, settings: { Secret("the \($0)") })
    endpoint = TokenEndpoint(client: client, policy: policy)
    assembly = PublishingAssembly(
      PublishingAssembly.Parts(
        pool: pool,
        vault: vault,
        plugins: plugins,
        egress: Egress(client: client, policy: policy),
        tokens: endpoint,
        apps: apps,
        tokenFolder: folder + "/tokens",
        renewals: Self.renewals,
        effects: effects,
        files: try MediaFiles(root: folder + "/media"),
        limits: AccountLimits(),
        hints: NoHints(),
        spoolPath: folder + "/spool",
        contentGuard: ContentGuard(window: duplicateWindow),
        logger: logger,
        sendDeadline: sendDeadline
      )
    )
    queue = JobQueue(
      settings: QueueSettings(home: "test"),
      database: pool.configuration,
      pool: pool,
      handlers: assembly.handlers,
      extensions: [DeliveryHandler.claimExtension],
      hooks: DeliveryClosing.hooks,
      logger: logger
    )
    dispatcher = assembly.dispatcher(queue: queue)
    control = assembly.control(queue: queue)
    site = try await Self.makeSite(pool)
    user = try await pool.query("INSERT INTO users (email, name) VALUES ('a@a.example', 'A') RETURNING id")[0].get(0)
    (connection, lane) = try await Self.connect(pool, vault: vault, site: site, account: "acc")
  }

  /// Another version of the plugin, or the same one with another script.
  func plugin(version: String, _ script: String) async throws -> InstalledPlugin {
    let path = folder + "/plugin-\(version)"
    try await Self.write(script, version: version, to: path, try Spawner())
    return InstalledPlugin(
      manifest: try PluginManifest.parse(Array(ProbeManifest.text(version: version).utf8)),
      executable: path
    )
  }

  func close() async {
    for pid in plugins.status().flatMap(\.versions).compactMap(\.pid) { _ = kill(-pid, SIGKILL) }
    await queue.writer.close()
    await effects.close()
  }

  // MARK: Rows

  static func makeSite(_ pool: Pool) async throws -> Int64 {
    let site: Int64 = try await pool.query("INSERT INTO sites (name) VALUES ('Site') RETURNING id")[0].get(0)
    try await pool.execute("INSERT INTO queue_sites (site_id) VALUES (\(site))")
    return site
  }

  static func connect(
    _ pool: Pool,
    vault: Vault,
    site: Int64,
    account: String
  ) async throws -> (connection: Int64, lane: Int64) {
    let lane: Int64 = try await pool.query(
      LaneStatements.ensure([LaneSpecification(kind: DeliveryHandler.kind, key: "probe:\(account)", siteID: site)])
    )[0].get("lane_id")
    let id: Int64 = try await pool.query(
      "SELECT nextval(pg_get_serial_sequence('platform_connections', 'id'))"
    )[0].get(0)
    let sealed = try await vault.sealCredentials(
      ["token": Secret("tok-secret")],
      site: site,
      platform: "probe",
      connection: id,
      generation: 1
    )
    try await pool.execute(
      """
      INSERT INTO platform_connections (id, site_id, platform, account_id, account_name, sealed_credentials, key_id,
        lane_id)
      VALUES (\(id), \(site), 'probe', \(account), 'Account', \(sealed.bytes), \(sealed.keyID), \(lane))
      """
    )
    return (id, lane)
  }

  func makePost(_ text: String = "Hello", site: Int64? = nil) async throws -> Int64 {
    let site = site ?? self.site
    return try await pool.transaction(scope: .site(site)) { tx in
      try await PostStore().create(PostContent(title: text), site: site, user: nil, in: tx).id
    }
  }

  func request(post: Int64, scheduledFor: Date? = nil, options: String = "{}") throws -> DispatchRequest {
    DispatchRequest(
      siteID: site,
      postID: post,
      connectionIDs: [connection],
      targetIDs: [],
      scheduledFor: scheduledFor,
      options: try RawJSON(text: options),
      userID: user
    )
  }

  /// Dispatches a new post to the account and returns the delivery's number.
  func dispatch(_ text: String = "Hello", scheduledFor: Date? = nil) async throws -> Int64 {
    let post = try await makePost(text)
    let dispatched = try await dispatcher.dispatch(request(post: post, scheduledFor: scheduledFor))
    return try #require(dispatched.deliveries.first).id
  }

  // MARK: The queue by hand

  private static let kinds = [DeliveryHandler.kind, RemovalHandler.kind]

  /// Makes everything that waits due now and claims the next job, or the next check.
  func claim() async throws -> ClaimedJob? {
    try await promote()
    let claim = ClaimOperation(
      shape: queue.shape,
      kinds: Self.kinds,
      request: ClaimLedger.Request(count: 1, quantum: 1, afterSite: .min)
    )
    if let job = try ClaimOperation.outputs(
      of: try await pool.query(ClaimOperation.statement(for: [claim])),
      for: [
        claim
      ]
    )[0].jobs.first {
      return job
    }
    try await pool.execute("UPDATE leases SET check_at = '-infinity' WHERE check_at IS NOT NULL")
    let check = CheckOperation(shape: queue.shape, kinds: Self.kinds, count: 1)
    let rows = try await pool.query(CheckOperation.statement(for: [check]))
    return try CheckOperation.outputs(of: rows, for: [check])[0].jobs.first
  }

  func promote() async throws {
    try await pool.execute("UPDATE due SET due_at = least(due_at, clock_timestamp() - interval '1 s')")
    try await pool.execute("UPDATE lanes SET blocked_until = '-infinity'")
    _ = try await pool.query(PromoteStatement.make(limit: 100, hooks: DeliveryClosing.hooks))
    try await pool.execute("UPDATE lanes SET runnable_at = now() WHERE pending > 0 AND inflight < cap")
  }

  @discardableResult
  func settle(_ job: ClaimedJob, _ outcome: JobOutcome) async throws -> SettleOperation.Output {
    var operation = SettleOperation(
      lease: job.lease,
      way: .finished,
      error: outcome.error,
      hooks: DeliveryClosing.hooks
    )
    switch outcome.way {
    case .finished: break
    case .failed: operation.way = .failed
    case .retry: operation.way = job.isLastAttempt ? .failed : .retried
    case .snoozed: operation.way = .snoozed
    case .unknown: operation.way = .unknown
    case .released: operation.way = .releasedOrUnknown
    case .refused: operation.way = .refused
    }
    guard let completion = outcome.completion else { return try await queue.writer.submit(operation) }
    return try await both(completion, operation)
  }

  private func both<Completion: BatchOperation>(
    _ completion: Completion,
    _ operation: SettleOperation
  ) async throws -> SettleOperation.Output {
    try await queue.writer.submit(completion, with: operation).1
  }

  /// Claims, runs and settles one job; nil when there was none.
  @discardableResult
  func step() async throws -> JobOutcome.Way? {
    guard let job = try await claim() else { return nil }
    guard let handler = assembly.handlers[job.kind] else { throw PublishingError.notFound("handler", job.id) }
    let outcome = await handler.run(job)
    try await settle(job, outcome)
    return outcome.way
  }

  /// Steps until nothing is left to do.
  @discardableResult
  func drive(limit: Int = 12) async throws -> [JobOutcome.Way] {
    var ways: [JobOutcome.Way] = []
    while ways.count < limit, let way = try await step() { ways.append(way) }
    return ways
  }

  // MARK: Looking

  func delivery(_ id: Int64) async throws -> Delivery {
    try await pool.transaction(scope: .site(site)) { tx in try await DeliveryStore().delivery(id, in: tx) }
  }

  func events(_ id: Int64) async throws -> [String] {
    try await pool.query(
      "SELECT kind FROM outbox WHERE subject_id = \(id) AND kind LIKE 'delivery.%' ORDER BY id"
    ).map { try $0.get(0) }
  }

  /// The row of something that a person does to the connection.
  func audit(_ action: AuditAction) -> SQL {
    AuditEntry(action, "connection:\(connection)", site: site, user: user).insertion
  }

  @discardableResult
  func disconnect() async throws -> RevocationOutcome {
    try await assembly.connections.disconnect(connection, site: site, audit: audit(.connectionDelete))
  }

  func count(_ sql: SQL) async throws -> Int { try await pool.query(sql)[0].get(0) }

  private static func write(
    _ script: String,
    version: String,
    methods: [String] = ProbeManifest.methods,
    to path: String,
    _ spawner: Spawner
  ) async throws {
    let methods = methods.map { "\"\($0)\"" }.joined(separator: ",")
    let text = """
      #!/bin/sh
      \(library)
      next
      answer '{"protocol":"1.0","plugin":{"id":"probe","version":"\(version)","sdk":"sh/1"},"methods":[\(methods)]}'
      next
      while next; do
      case $method in
        health/check|drain|shutdown) answer '{}'; continue;;
        post/validate) answer '{"findings":[]}'; continue;;
        post/render) answer '{"text":"t","findings":[]}'; continue;;
      esac
      \(script)
      done
      """
    // Written by a child: a file that this process has open for writing can not be executed.
    let writing = try await spawner.output(
      of: SpawnRequest(executable: "/bin/sh", arguments: ["-c", "cat > \"$0\" && chmod 755 \"$0\"", path]),
      input: Array(text.utf8)
    )
    try #require(writing.status.isSuccess)
  }
}
