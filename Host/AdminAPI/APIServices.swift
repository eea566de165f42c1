package import Connecting
package import Events
package import Identity
package import JobQueue
package import Logging
package import MediaStore
package import Notices
package import OAuth
package import PluginHost
package import PluginStore
package import Postgres
package import Publishing
package import Sites
package import Vault

package import struct WebhookEndpoints.WebhookEndpoints

/// What the operations work with.
package struct APIServices: Sendable {
  package var pool: Pool
  package var queue: JobQueue
  package var plugins: PluginHost
  package var tokens: TokenStore
  package var users: UserStore
  package var signIn: SignIn
  package var browser: BrowserPolicy
  package var webTokens: WebTokens
  package var sites: SiteStore
  package var files: MediaFiles
  package var connections: ConnectionService
  package var signIns: PlatformSignIns
  package var apps: PlatformApps
  package var lanes: LimitService
  package var dispatcher: Dispatcher
  package var control: DeliveryControl
  package var webhooks: WebhookEndpoints
  package var notices: NoticeInbox
  package var rotations: KeyRotations
  package var revocations: Revocations
  package var events: EventHub
  package var limiter: RateLimiter
  package var retention: JournalRetention
  package var limits: APILimits
  package var logger: Logger
  /// The version of the host that `/health` shows.
  package var version: String
  /// Nil on a host that takes no bundles over the network.
  package var bundles: BundleIntake?

  package init(
    pool: Pool,
    queue: JobQueue,
    plugins: PluginHost,
    tokens: TokenStore,
    users: UserStore,
    signIn: SignIn,
    browser: BrowserPolicy,
    webTokens: WebTokens,
    sites: SiteStore,
    files: MediaFiles,
    connections: ConnectionService,
    signIns: PlatformSignIns,
    apps: PlatformApps,
    lanes: LimitService,
    dispatcher: Dispatcher,
    control: DeliveryControl,
    webhooks: WebhookEndpoints,
    notices: NoticeInbox,
    rotations: KeyRotations,
    revocations: Revocations,
    events: EventHub,
    limiter: RateLimiter,
    retention: JournalRetention,
    limits: APILimits,
    logger: Logger,
    version: String,
    bundles: BundleIntake? = nil
  ) {
    self.pool = pool
    self.queue = queue
    self.plugins = plugins
    self.tokens = tokens
    self.users = users
    self.signIn = signIn
    self.browser = browser
    self.webTokens = webTokens
    self.sites = sites
    self.files = files
    self.connections = connections
    self.signIns = signIns
    self.apps = apps
    self.lanes = lanes
    self.dispatcher = dispatcher
    self.control = control
    self.webhooks = webhooks
    self.notices = notices
    self.rotations = rotations
    self.revocations = revocations
    self.events = events
    self.limiter = limiter
    self.retention = retention
    self.limits = limits
    self.logger = logger
    self.version = version
    self.bundles = bundles
  }
}

/// How much one client may ask for.
package struct APILimits: Sendable {
  /// For each token.
  package var token = RateLimiter.Limit(burst: 2_000, perSecond: 1_000)
  /// For each address without a valid token: slow enough to make guessing tokens pointless.
  package var address = RateLimiter.Limit(burst: 60, perSecond: 5)
  /// Sign-ins at platforms that one site may start.
  package var connect = RateLimiter.Limit(burst: 20, perSecond: 1.0 / 6)
  /// Callbacks of platforms for one site.
  package var callback = RateLimiter.Limit(burst: 20, perSecond: 1.0 / 6)
  /// Callbacks from one address, whatever they hold.
  package var callbackAddress = RateLimiter.Limit(burst: 60, perSecond: 1)
  /// The largest uploaded file in bytes.
  package var mediaBytes: Int64 = 1 << 30

  package init() {}
}
