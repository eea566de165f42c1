package import Egress
package import JobQueue
package import Logging
package import MediaStore
package import OAuth
package import PluginHost
package import Postgres
package import Vault

/// Puts the parts of publishing together: one place that knows how a delivery gets its tools.
package struct PublishingAssembly: Sendable {
  /// What publishing needs from the host.
  package struct Parts: Sendable {
    package var pool: Pool
    package var vault: Vault
    package var plugins: PluginHost
    package var egress: Egress
    /// Where tokens are renewed and ended.
    package var tokens: TokenEndpoint
    /// What platforms know the host and its sites as.
    package var apps: PlatformApps
    /// Where renewed tokens wait while the database is away.
    package var tokenFolder: String
    package var renewals: RenewalSettings
    /// The group-commit writer of started rows and outcomes, on a connection of its own.
    package var effects: BatchWriter
    package var files: MediaFiles
    package var limits: AccountLimits
    package var breakers: BreakerSettings
    package var hints: any DeliveryHints
    /// Where outcomes wait while the database is away.
    package var spoolPath: String
    /// How many counted attempts a delivery has.
    package var maximumAttempts: Int
    /// Keeps accounts from saying the same thing twice by mistake.
    package var contentGuard: ContentGuard
    package var logger: Logger
    package var permit: SendPermit
    /// The instant after which this node may not start a request any more.
    package var sendDeadline: @Sendable () -> ContinuousClock.Instant?

    package init(
      pool: Pool,
      vault: Vault,
      plugins: PluginHost,
      egress: Egress,
      tokens: TokenEndpoint,
      apps: PlatformApps,
      tokenFolder: String,
      renewals: RenewalSettings = RenewalSettings(),
      effects: BatchWriter,
      files: MediaFiles,
      limits: AccountLimits,
      breakers: BreakerSettings = BreakerSettings(),
      hints: any DeliveryHints,
      spoolPath: String,
      maximumAttempts: Int = 3,
      contentGuard: ContentGuard = ContentGuard(),
      logger: Logger,
      permit: SendPermit = .unbound,
      sendDeadline: @escaping @Sendable () -> ContinuousClock.Instant?
    ) {
      self.pool = pool
      self.vault = vault
      self.plugins = plugins
      self.egress = egress
      self.tokens = tokens
      self.apps = apps
      self.tokenFolder = tokenFolder
      self.renewals = renewals
      self.effects = effects
      self.files = files
      self.limits = limits
      self.breakers = breakers
      self.hints = hints
      self.spoolPath = spoolPath
      self.maximumAttempts = maximumAttempts
      self.contentGuard = contentGuard
      self.logger = logger
      self.permit = permit
      self.sendDeadline = sendDeadline
    }
  }

  /// The queue's handler for deliveries.
  package let handler: DeliveryHandler
  /// The queue's handler for deletions on platforms.
  package var removals: RemovalHandler { RemovalHandler(deliveries: handler) }
  /// All handlers by the kinds of their jobs.
  package var handlers: [String: any JobHandler] {
    [DeliveryHandler.kind: handler, RemovalHandler.kind: removals]
  }
  package let connections: ConnectionService
  package let renewer: TokenRenewer
  package let revocations: PlatformRevocations
  package let limits: LimitRecorder
  package let lanes: LimitService
  package let breakers: BreakerBoard
  private let parts: Parts
  private let store: JournalStore
  private let spool: OutcomeSpool

  package init(_ parts: Parts) {
    self.parts = parts
    store = JournalStore(pool: parts.pool)
    spool = OutcomeSpool(path: parts.spoolPath)
    limits = LimitRecorder()
    lanes = LimitService(pool: parts.pool, plugins: parts.plugins, limits: parts.limits)
    breakers = BreakerBoard(pool: parts.pool, settings: parts.breakers, logger: parts.logger)
    let accounts = AccountCache(pool: parts.pool, vault: parts.vault)
    let plugins = parts.plugins
    renewer = TokenRenewer(
      accounts: accounts,
      endpoint: parts.tokens,
      apps: parts.apps,
      spool: TokenSpool(folder: parts.tokenFolder),
      settings: parts.renewals,
      logger: parts.logger,
      permit: parts.permit,
      manifest: { plugins.manifest(for: $0) }
    )
    revocations = PlatformRevocations(
      pool: parts.pool,
      vault: parts.vault,
      endpoint: parts.tokens,
      apps: parts.apps,
      logger: parts.logger,
      manifest: { plugins.manifest(for: $0) }
    )
    handler = DeliveryHandler(
      tools: DeliveryTools(
        plugins: parts.plugins,
        egress: parts.egress,
        effects: parts.effects,
        store: store,
        spool: spool,
        accounts: accounts,
        renewer: renewer,
        files: parts.files,
        limits: limits,
        lanes: lanes,
        breakers: breakers,
        hints: parts.hints,
        logger: parts.logger,
        permit: parts.permit,
        sendDeadline: parts.sendDeadline
      )
    )
    connections = ConnectionService(
      pool: parts.pool,
      vault: parts.vault,
      plugins: parts.plugins,
      caller: AccountCaller(
        plugins: parts.plugins,
        egress: parts.egress,
        accounts: accounts,
        renewer: renewer,
        logger: parts.logger
      ),
      cache: accounts,
      renewer: renewer,
      revocations: revocations,
      limits: lanes
    )
  }

  /// Accepts distributions; needs the queue, which needs ``handler`` first.
  package func dispatcher(queue: JobQueue) -> Dispatcher {
    Dispatcher(
      pool: parts.pool,
      queue: queue,
      plugins: parts.plugins,
      maximumAttempts: parts.maximumAttempts,
      contentGuard: parts.contentGuard
    )
  }

  package func control(queue: JobQueue) -> DeliveryControl {
    DeliveryControl(
      pool: parts.pool,
      queue: queue,
      plugins: parts.plugins,
      maximumAttempts: parts.maximumAttempts
    )
  }

  /// Stores the outcomes that waited for the database; answers how many there were.
  ///
  /// Call it at the start and every few seconds.
  package func drainSpool() async throws -> Int {
    try await spool.drain { effect in
      _ = try await parts.effects.submit(effect)
      _ = try await store.settleLate(effect.delivery)
    }
  }
}
