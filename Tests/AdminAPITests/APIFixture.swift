import Connecting
import Cryptography
import Egress
import Events
import FoundationEssentials
import HTTPClient
import HTTPServer
import Identity
import JSONDocument
import JobQueue
import Logging
import MediaStore
import Notices
import OAuth
import PluginHost
import PluginManifest
import PluginStore
import Postgres
import Processes
import Sites
import TestSupport
import Testing
import Vault

import struct WebhookEndpoints.WebhookEndpoints

@testable import AdminAPI
@testable import Publishing

/// The API over a real database, through the router, without sockets.
///
/// The plugin is a shell script that takes every post; the queue does not run.
struct APIFixture: Sendable {
  let pool: Pool
  let log = MemorySink()
  let mediaFolder: String
  /// The plugin's program; a file of that name with `.identify` behind is what it says of accounts.
  let plugin: String
  let api: AdminAPI
  let client: TestClient
  let services: APIServices
  let site: Int64
  let otherSite: Int64
  let connection: Int64
  private let vault: Vault
  /// Tokens by the role that their holder has in `site`.
  let tokens: [Role: String]
  let operatorToken: String

  private static let manifest = #"""
    {"schema": "rostrum-plugin/1", "id": "probe", "name": "Probe", "aliases": ["test"], "kind": "platform",
     "version": "1.0.0", "description": "A plugin of the tests.", "license": "Apache-2.0",
     "protocol": {"min": "1.0", "max": "1.0"}, "executable": "plugin-probe",
     "methods": ["account/capabilities", "account/identify", "post/publish", "post/render", "post/validate"],
     "input": [], "secrets": {"token": {"label": "Token", "source": "entered"}}, "account": {"fields": []},
     "egress": [], "reconcile": {"absence": "never", "settleMs": 0}, "rateLimits": [],
     "limits": {"inFlight": 64, "memoryMiB": 96, "startMs": 30000, "callMs": 60000}}
    """#

  private static let script = #"""
    #!/bin/sh
    say() { printf '%s\n' "$1"; }
    IFS= read -r line; id=${line#*'"id":'}; id=${id%%[,\}]*}
    say '{"jsonrpc":"2.0","id":'"$id"',"result":{"protocol":"1.0","plugin":{"id":"probe","version":"1.0.0","sdk":"sh/1"},"methods":["account/capabilities","account/identify","post/publish","post/render","post/validate"]}}'
    IFS= read -r line
    while IFS= read -r line; do
      id=${line#*'"id":'}; id=${id%%[,\}]*}
      case $line in
        *'post/validate'*'REFUSE'*) say '{"jsonrpc":"2.0","id":'"$id"',"result":{"findings":[{"severity":"error","field":"text","code":"c","message":"Too rude"}]}}';;
        *'account/identify'*'"id":"page-'*) page=${line#*'"id":"page-'}; page=${page%%'"'*}
          say '{"jsonrpc":"2.0","id":'"$id"',"result":{"id":"page-'"$page"'","name":"Page '"$page"'"}}';;
        *'account/identify'*) if [ -e "$0.identify" ]; then read -r result < "$0.identify"
          say '{"jsonrpc":"2.0","id":'"$id"','"$result"'}'; else say '{"jsonrpc":"2.0","id":'"$id"',"result":{"id":"new","name":"New"}}'; fi;;
        *) say '{"jsonrpc":"2.0","id":'"$id"',"result":{"findings":[]}}';;
      esac
    done
    """#

  /// - Parameters:
  ///   - manifest: changes the text of the plugin's manifest.
  ///   - platformPort: where the servers of the plugin's platform are.
  ///   - settings: what an operator set for platforms.
  static func run(
    _ change: (inout APILimits) -> Void = { _ in },
    manifest: (String) -> String = { $0 },
    platformPort: UInt16? = nil,
    settings: [String: String] = [:],
    _ body: (APIFixture) async throws -> Void
  ) async throws {
    let manifest = manifest(Self.manifest)
    let folder = FileManager.default.temporaryDirectory.path + "/api-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    var limits = APILimits()
    change(&limits)
    let result: Result<Void, any Error>
    do {
      try await TestDatabase.current.withPool(size: 6) { pool in
        let fixture = try await APIFixture(
          pool,
          folder: folder,
          limits: limits,
          manifest: manifest,
          platformPort: platformPort,
          settings: settings
        )
        try await body(fixture)
      }
      result = .success(())
    } catch {
      result = .failure(error)
    }
    try FileManager.default.removeItem(atPath: folder)
    try result.get()
  }

  private init(
    _ pool: Pool,
    folder: String,
    limits: APILimits,
    manifest: String,
    platformPort: UInt16?,
    settings: [String: String]
  ) async throws {
    self.pool = pool
    plugin = folder + "/plugin"
    let logger = Logger(sink: log, minimumLevel: .debug)
    let policy =
      try platformPort.map { port in
        try AddressPolicy(
          allow: "127.0.0.1:\(port)",
          overrides: "https://api.example.com=http://127.0.0.1:\(port)"
        )
      } ?? AddressPolicy()
    let httpClient = try HTTPClient()
    mediaFolder = folder + "/media"
    let spawner = try Spawner()
    let writing = try await spawner.output(
      of: SpawnRequest(
        executable: "/bin/sh",
        arguments: ["-c", "cat > \"$0\" && chmod 755 \"$0\"", folder + "/plugin"]
      ),
      input: Array((Self.script + "\n").utf8)
    )
    try #require(writing.status.isSuccess)
    let plugins = PluginHost(
      plugins: [
        InstalledPlugin(
          manifest: try PluginManifest.parse(Array(manifest.utf8)),
          executable: folder + "/plugin"
        )
      ],
      spawner: spawner,
      logger: logger
    )
    let vault = try await Vault(
      pool: pool,
      keyring: Keyring(Secret("1:\(Base64.encode([UInt8](repeating: 1, count: 32)))"))
    )
    let files = try MediaFiles(root: folder + "/media")
    let apps = PlatformApps(pool: pool, vault: vault) { name in settings[name].map { Secret($0) } }
    let endpoint = TokenEndpoint(client: httpClient, policy: policy)
    let assembly = PublishingAssembly(
      PublishingAssembly.Parts(
        pool: pool,
        vault: vault,
        plugins: plugins,
        egress: Egress(client: httpClient, policy: policy),
        tokens: endpoint,
        apps: apps,
        tokenFolder: folder + "/tokens",
        effects: BatchWriter(pool.configuration, logger: logger),
        files: files,
        limits: AccountLimits(),
        hints: NoHints(),
        spoolPath: folder + "/spool",
        logger: logger,
        sendDeadline: { nil }
      )
    )
    let queue = JobQueue(
      settings: QueueSettings(home: "test"),
      database: pool.configuration,
      pool: pool,
      handlers: [:],
      hooks: DeliveryClosing.hooks,
      logger: logger
    )
    services = APIServices(
      pool: pool,
      queue: queue,
      plugins: plugins,
      tokens: TokenStore(pool: pool),
      users: UserStore(pool: pool),
      signIn: SignIn(
        pool: pool,
        sessions: SessionStore(pool: pool),
        hasher: PasswordHasher(parameters: Scrypt.Parameters(n: 16, r: 1, p: 1))
      ),
      browser: BrowserPolicy(publicURL: "https://rostrum.example", listens: "127.0.0.1"),
      webTokens: WebTokens(pool: pool, vault: vault, fetch: { _ in nil }),
      sites: SiteStore(pool: pool),
      files: files,
      connections: assembly.connections,
      signIns: PlatformSignIns(
        pool: pool,
        vault: vault,
        plugins: plugins,
        connections: assembly.connections,
        apps: apps,
        endpoint: endpoint,
        policy: policy,
        address: OwnAddress("https://rostrum.example"),
        logger: logger
      ),
      apps: apps,
      lanes: assembly.lanes,
      dispatcher: assembly.dispatcher(queue: queue),
      control: assembly.control(queue: queue),
      webhooks: WebhookEndpoints(pool: pool, vault: vault, policy: AddressPolicy()),
      notices: NoticeInbox(pool: pool),
      rotations: KeyRotations(vault: vault),
      revocations: Revocations(pool: pool),
      events: EventHub(pool: pool, logger: logger),
      limiter: RateLimiter(),
      retention: JournalRetention(pool: pool, days: 30),
      limits: limits,
      logger: logger,
      version: "9.9.9",
      bundles: BundleIntake(folder: try StoreFolder(folder + "/plugins")) { address, _ in
        throw StoreError(.download, "There is nothing at \(address)")
      }
    )
    api = AdminAPI(services: services)
    client = TestClient(api.router(), logger: logger)
    let people = People(pool: pool, services: services)
    site = try await people.site("One")
    otherSite = try await people.site("Two")
    var tokens: [Role: String] = [:]
    for role in Role.allCases { tokens[role] = try await people.token(role, in: site) }
    self.tokens = tokens
    operatorToken = try await people.token(nil, in: site, isOperator: true)
    connection = try await Self.connect("acc", name: "Account", site: site, services, vault)
    self.vault = vault
  }

  /// An account of a site that the plugin works for.
  func connect(_ account: String, site: Int64) async throws -> Int64 {
    try await Self.connect(account, name: account, site: site, services, vault)
  }

  private static func connect(
    _ account: String,
    name: String,
    site: Int64,
    _ services: APIServices,
    _ vault: Vault
  ) async throws -> Int64 {
    let lane = try await services.queue.ensureLanes([
      LaneSpecification(kind: "delivery", key: "probe:\(account)", siteID: site)
    ])
    let connection: Int64 = try await services.pool.query(
      """
      INSERT INTO platform_connections (site_id, platform, account_id, account_name, sealed_credentials, key_id, lane_id)
      VALUES (\(site), 'probe', \(account), \(name), '\\x00', 1, \(lane[0])) RETURNING id
      """
    )[0].get(0)
    let sealed = try await vault.sealCredentials(
      ["token": Secret("token of \(account)")],
      site: site,
      platform: "probe",
      connection: connection,
      generation: 1
    )
    try await services.pool.execute(
      """
      UPDATE platform_connections SET sealed_credentials = \(sealed.bytes), key_id = \(sealed.keyID), generation = 1
      WHERE id = \(connection)
      """
    )
    return connection
  }

  /// An account as a delivery opens it.
  func account(_ connection: Int64) async throws -> Account {
    try await AccountCache(pool: pool, vault: vault).load(connection)
  }

  // MARK: Requests

  func send(
    _ method: HTTPMethod,
    _ target: String,
    as role: Role? = .owner,
    json: String? = nil,
    headers: HTTPHeaders = [:]
  ) async -> TestClient.Answer {
    var headers = headers
    if let token = role.flatMap({ tokens[$0] }) { headers.set("authorization", "Bearer \(token)") }
    if json != nil, headers["content-type"] == nil { headers.set("content-type", "application/json") }
    return await client.send(method, target, headers: headers, body: Array((json ?? "").utf8))
  }

  func get(_ target: String, as role: Role? = .owner) async -> TestClient.Answer { await send(.get, target, as: role) }

  // MARK: People

  /// A token of a new person with a role in a site.
  func token(_ role: Role, in site: Int64, email: String) async throws -> String {
    try await People(pool: pool, services: services).token(role, in: site, email: email)
  }

  /// The cookie of a new session of whoever has a role in `site`.
  func cookie(_ role: Role) async throws -> String {
    let session = try await pool.transaction { tx in
      let user = try await services.users.user(email: "\(role.rawValue)@a.example").id
      return try await services.signIn.sessions.create(
        user: user,
        replacing: nil,
        address: "192.0.2.1",
        userAgent: nil,
        in: tx
      )
    }
    return "__Host-rostrum=\(try #require(session.revealText()))"
  }

  /// How many rows there are in the tables that requests change.
  func rows() async throws -> [Int] {
    var counts: [Int] = []
    for table in [
      "sites", "posts", "post_versions", "media", "platform_connections", "publishing_targets", "distributions",
      "deliveries", "jobs", "publishing_schedules", "outbox", "audit_logs", "idempotency_keys", "event_endpoints",
      "event_deliveries", "notice_marks", "notice_settings", "oauth_states", "platform_apps",
    ] {
      counts.append(try await pool.query("SELECT count(*) FROM \(identifier: table)")[0].get(0))
    }
    return counts
  }

  func makePost(_ title: String = "Hello") async throws -> Int64 {
    let answer = await send(.post, "/api/posts", json: #"{"title":"\#(title)"}"#)
    return try #require(answer.json.pointer("/data/id")?.int64Value)
  }
}

/// Makes people and their tokens.
private struct People {
  let pool: Pool
  let services: APIServices

  func site(_ name: String) async throws -> Int64 {
    try await pool.transaction { tx in
      try await services.sites.create(name: name, domain: nil, timeZone: "UTC", in: tx).id
    }
  }

  func token(_ role: Role?, in site: Int64, isOperator: Bool = false, email: String? = nil) async throws -> String {
    let name = role?.rawValue ?? "operator"
    let token = try await pool.transaction { tx in
      let user = try await services.users.create(
        email: email ?? "\(name)@a.example",
        name: name,
        isOperator: isOperator,
        in: tx
      )
      if let role { try await services.users.setRole(role, of: user.id, in: site, in: tx) }
      return try await services.tokens.create(
        user: user.id,
        name: name,
        expiresAt: nil,
        in: tx
      ).token
    }
    return try #require(token.revealText())
  }
}

extension TestClient.Answer {
  /// The body; null when it is no JSON.
  var json: JSONValue { (try? JSONValue.parse(body)) ?? .null }

  var code: String? { json.pointer("/error/code")?.stringValue }

  var field: String? { json.pointer("/error/field")?.stringValue }
}
