internal import AdminAPI
internal import Connecting
internal import Egress
internal import Events
internal import HTTPClient
internal import HTTPServer
internal import Identity
internal import Jail
internal import JobQueue
internal import Logging
internal import MediaStore
internal import Notices
internal import OAuth
internal import Outbox
internal import PluginHost
internal import PluginManifest
internal import PluginStore
internal import Postgres
internal import Processes
internal import Publishing
internal import ServiceTree
internal import Sites
internal import Vault
internal import WebhookEndpoints

import struct WebhookEndpoints.WebhookEndpoints

/// The parts of a host over a database that is up to date, and the tree of services that they make.
struct HostAssembly: Sendable {
  private let configuration: HostConfiguration
  private let logger: Logger
  private let pool: Pool
  private let effects: BatchWriter
  private let client: HTTPClient
  private let plugins: PluginHost
  private let catalogue: PluginCatalogue
  private let queue: JobQueue
  private let marks: MarkKeeper
  private let events: EventHub
  private let housekeeping: Housekeeping
  private let tokenKeeper: TokenKeeper
  private let readers: [OutboxReader]
  private let keeper: VaultKeeper
  private let auditor: AuditKeeper
  private let services: APIServices
  private let address: OwnAddress

  /// Requests of people and background reads; hot writes have connections of their own.
  private static let poolSize = 8

  /// Makes all parts; connects, checks the key, and starts nothing.
  init(_ configuration: HostConfiguration, database: HostDatabase, spawner: Spawner, logger: Logger) async throws {
    self.configuration = configuration
    self.logger = logger
    pool = Pool(database.pooled, size: Self.poolSize, logger: logger)
    effects = BatchWriter(database.direct, logger: logger)
    let keyring = try await VaultKey.keyring(configuration, pool: pool, logger: logger)
    let vault = try await Vault(pool: pool, keyring: keyring)
    let sources = try PluginSources(configuration)
    for problem in sources.problems {
      logger.error("A plugin's manifest can not be used", ["problem": "\(problem)"])
    }
    let installer = try PluginInstaller(configuration, registry: PluginRegistry(pool: pool))
    try await installer.installOwn(sources, logger: logger)
    let jail = await Jail.probe(
      launcher: configuration.launcher,
      spawner: spawner,
      logger: logger,
      runDirectory: configuration.runFolder,
      best: configuration.bestTier
    )
    let allowsUnjailed = configuration.allowsUnjailed
    catalogue = PluginCatalogue(
      registry: installer.registry,
      folder: installer.folder,
      database: database.direct,
      node: configuration.home,
      logger: logger,
      compose: { InstalledPlugin($0, jail: jail, allowsUnjailed: allowsUnjailed) }
    )
    plugins = PluginHost(
      plugins: try await catalogue.load(),
      spawner: spawner,
      logger: logger,
      hostVersion: Host.version
    )
    catalogue.attach(plugins)
    var clientConfiguration = HTTPClient.Configuration()
    clientConfiguration.userAgent = "Rostrum/\(Host.version)"
    client = try HTTPClient(configuration: clientConfiguration)
    events = EventHub(pool: pool, logger: logger)
    let clock = NodeClock()
    let permit = SendPermit.unexamined
    let files = try MediaFiles(root: configuration.media)
    let platformSettings = configuration.platformSettings
    let apps = PlatformApps(pool: pool, vault: vault) { name throws(PlatformAppError) in
      try await platformSettings.value(of: name)
    }
    let endpoint = TokenEndpoint(client: client, policy: configuration.addressPolicy)
    let publishing = PublishingAssembly(
      PublishingAssembly.Parts(
        pool: pool,
        vault: vault,
        plugins: plugins,
        egress: Egress(client: client, policy: configuration.addressPolicy),
        tokens: endpoint,
        apps: apps,
        tokenFolder: configuration.tokenFolder,
        effects: effects,
        files: files,
        limits: configuration.accountLimits,
        breakers: configuration.breakers,
        hints: EventHints(events: events),
        spoolPath: configuration.spoolFile,
        maximumAttempts: configuration.attempts,
        contentGuard: configuration.contentGuard,
        logger: logger,
        permit: permit,
        sendDeadline: { clock.sendDeadline }
      )
    )
    var settings = QueueSettings(home: configuration.home)
    settings.slots = configuration.slots
    let notices = NoticeStore(pool: pool, sendsMail: configuration.mail != nil)
    let audit = HostAudit(vault, pool: pool, folder: configuration.auditFolder)
    let auditor = audit.keeper(logger)
    self.auditor = auditor
    let periodic = Housekeeping.periodicJobs(
      pool,
      notices: notices,
      renewer: publishing.renewer,
      audit: audit,
      retentionDays: configuration.retentionDays,
      auditRetentionDays: configuration.auditRetentionDays
    )
    let webhooks = WebhookSender(
      pool: pool,
      vault: vault,
      client: client,
      policy: configuration.addressPolicy,
      slots: configuration.slots,
      logger: logger
    )
    var handlers = periodic.handlers.merging(publishing.handlers) { $1 }
    handlers[WebhookSender.kind] = webhooks
    if let mailer = Self.mailer(configuration, pool: pool, logger: logger) { handlers[NoticeMailer.kind] = mailer }
    let queue = JobQueue(
      settings: settings,
      database: database.direct,
      pool: pool,
      handlers: handlers,
      extensions: [DeliveryHandler.claimExtension],
      periodic: periodic.jobs,
      hooks: DeliveryClosing.hooks,
      logger: logger
    )
    self.queue = queue
    clock.follow(queue)
    marks = MarkKeeper(
      database: database.direct,
      home: configuration.home,
      file: MarkFile(path: configuration.markFile),
      store: HoldStore(pool: pool),
      permit: permit,
      queue: queue,
      logger: logger
    )
    webhooks.follow(queue)
    readers = [
      OutboxReader(
        reader: "webhooks",
        pool: pool,
        logger: logger,
        taken: { queue.wake() },
        consume: WebhookQueue.consume
      ),
      OutboxReader(
        reader: "notices",
        pool: pool,
        logger: logger,
        taken: { queue.wake() },
        consume: { events, tx in try await notices.consume(events, tx) }
      ),
    ]
    address = OwnAddress(configuration.ownAddress)
    try await Self.check(configuration, plugins: plugins, apps: apps, logger: logger)
    let signIns = PlatformSignIns(
      pool: pool,
      vault: vault,
      plugins: plugins,
      connections: publishing.connections,
      apps: apps,
      endpoint: endpoint,
      policy: configuration.addressPolicy,
      address: address,
      logger: logger
    )
    let hostVault = HostVault(vault, pool: pool)
    keeper = VaultKeeper(vault: hostVault, home: configuration.home, logger: logger)
    let tokens = TokenStore(pool: pool)
    let sessions = SessionStore(
      pool: pool,
      idle: .seconds(configuration.sessionIdleMinutes * 60),
      lifetime: .seconds(configuration.sessionHours * 3_600)
    )
    tokenKeeper = TokenKeeper(publishing: publishing, logger: logger)
    housekeeping = Housekeeping(
      pool: pool,
      publishing: publishing,
      tokens: tokens,
      sessions: sessions,
      files: files,
      notices: notices,
      signIns: signIns,
      states: [
        .disk(configuration.home) { DiskSpace.of(configuration.home) },
        .disk(configuration.media) { DiskSpace.of(configuration.media) },
        .queue { try await queue.health().longestWait },
        .auditTail(configuration.home) { auditor.missing },
      ],
      logger: logger
    )
    var limits = APILimits()
    let rate = Double(configuration.apiRate)
    limits.token = RateLimiter.Limit(burst: rate * 2, perSecond: rate)
    services = APIServices(
      pool: pool,
      queue: queue,
      plugins: plugins,
      tokens: tokens,
      users: UserStore(pool: pool),
      signIn: SignIn(pool: pool, sessions: sessions, hasher: PasswordHasher()),
      browser: BrowserPolicy(publicURL: configuration.publicURL, listens: configuration.listen.host),
      webTokens: Self.webTokens(configuration, pool: pool, vault: vault, client: client, logger: logger),
      sites: SiteStore(pool: pool),
      files: files,
      connections: publishing.connections,
      signIns: signIns,
      apps: apps,
      lanes: publishing.lanes,
      dispatcher: publishing.dispatcher(queue: queue),
      control: publishing.control(queue: queue),
      webhooks: WebhookEndpoints(pool: pool, vault: vault, policy: configuration.addressPolicy),
      notices: NoticeInbox(pool: pool),
      rotations: hostVault.rotations,
      revocations: hostVault.revocations,
      events: events,
      limiter: RateLimiter(),
      retention: JournalRetention(pool: pool, days: configuration.retentionDays),
      limits: limits,
      logger: logger,
      version: Host.version,
      bundles: BundleIntake(folder: installer.folder) { try await PluginDownload(configuration).run($0, into: $1) }
    )
  }

  /// Runs the services until the shutdown. They stop in reverse order: first nothing new is accepted, then what was
  /// claimed ends or goes back, then the plugins end.
  func run(ready: @escaping @Sendable (RunningHost) async -> Void) async throws {
    await marks.round()
    await housekeeping.drainSpool()
    await tokenKeeper.replay()
    let group = ServiceGroup(
      services: [auditor, housekeeping, tokenKeeper, plugins, catalogue, marks, keeper, queue] + readers + [
        events, httpService(ready),
      ],
      shutdownDeadline: Host.shutdownDeadline,
      logger: logger
    )
    try await group.run()
  }

  /// Ends what is no service. Requests that are still on their way get a moment; their outcomes are stored or spooled.
  func close() async {
    await client.close(within: .seconds(5))
    await effects.close()
    await pool.close()
  }

  private static func webTokens(
    _ configuration: HostConfiguration,
    pool: Pool,
    vault: Vault,
    client: HTTPClient,
    logger: Logger
  ) -> WebTokens {
    let download = KeySetDownload(client: client, policy: configuration.addressPolicy, logger: logger)
    return WebTokens(pool: pool, vault: vault, fetch: { await download.run($0) })
  }

  /// Holds what is set for platforms against what is installed.
  ///
  /// - Throws: ``StartError`` for a registered callback address that is not this host's.
  private static func check(
    _ configuration: HostConfiguration,
    plugins: PluginHost,
    apps: PlatformApps,
    logger: Logger
  ) async throws {
    var names: Set<String> = []
    for manifest in plugins.manifests {
      names.formUnion(manifest.configuration.map(\.name))
      guard let oauth = manifest.oauth, let own = configuration.ownAddress else { continue }
      do {
        try await apps.checkCallback(oauth, is: OwnAddress.callback(manifest.id, below: own))
      } catch {
        throw StartError(error.description)
      }
    }
    for name in configuration.platformSettings.unknown(besides: names) {
      logger.warning("A line of the settings file is not used", ["name": "\(name)"])
    }
  }

  /// What sends notices by mail; nil where the operator names no server.
  private static func mailer(_ configuration: HostConfiguration, pool: Pool, logger: Logger) -> NoticeMailer? {
    guard let mail = configuration.mail else { return nil }
    let client = MailClient(mail.server)
    return NoticeMailer(
      pool: pool,
      settings: NoticeMailer.Settings(from: mail.from, publicURL: configuration.publicURL),
      logger: logger,
      transport: { await client.send($0) }
    )
  }

  private func httpService(_ ready: @escaping @Sendable (RunningHost) async -> Void) -> any Service {
    var settings = HTTPServerConfiguration(host: configuration.listen.host, port: configuration.listen.port)
    settings.stopDeadline = .seconds(10)
    let logger = logger
    settings.accessLog = { record in
      logger.debug(
        "Answered a request",
        [
          "request": "\(record.requestID)", "method": "\(record.method)", "path": "\(record.path)",
          "status": .int(record.status), "ms": record.duration, "ending": "\(record.ending)",
        ]
      )
    }
    let server = HTTPServer(settings, router: AdminAPI(services: services).router(), logger: logger)
    return ClosureService(name: "http", signalsStartup: true) {
      let (startup, shutdown) = (Startup.current, Shutdown.current)
      try await server.run(
        started: { port in
          address.settle(configuration.listen.url(port: port))
          let host = RunningHost(
            url: configuration.listen.url(port: port),
            port: port,
            pool: pool,
            users: services.users,
            tokens: services.tokens
          )
          logger.notice(
            "Rostrum is ready",
            ["url": "\(host.url)", "publicUrl": "\(configuration.publicURL ?? host.url)", "version": "\(Host.version)"]
          )
          startup.finish()
          await ready(host)
        },
        until: { await shutdown.requested() }
      )
    }
  }
}
