/// How a sandbox starts.
public struct SandboxConfiguration: Sendable {
  /// One simulated account of the platform X with one access token.
  public struct XAccount: Sendable {
    /// The handle, without `@`.
    public var username: String
    /// The access token of OAuth 2.0 user context.
    public var token: String

    /// Creates an account with every scope and no credit limit.
    public init(username: String, token: String) {
      self.username = username
      self.token = token
    }
  }

  /// One endpoint that receives signed webhooks.
  public struct Hook: Sendable {
    /// The last part of the address `/hooks/{name}`.
    public var name: String
    /// `whsec_` and the base64 of 24 to 64 bytes.
    public var secret: String

    /// Creates an endpoint.
    public init(name: String, secret: String) {
      self.name = name
      self.secret = secret
    }
  }

  /// One simulated account of the platform Microblog with one access token.
  public struct MicroblogAccount: Sendable {
    /// 1 to 32 small letters, digits, `-` and `_`.
    public var username: String
    /// The access token.
    public var token: String

    /// Creates an account.
    public init(username: String, token: String) {
      self.username = username
      self.token = token
    }
  }

  /// One account of every other platform that has an OAuth server, with one access token.
  public struct ConsentAccount: Sendable {
    /// 1 to 64 letters, digits, `-`, `_` and `.`.
    public var username: String
    /// An access token that needs no consent, with every scope and without an end.
    public var token: String?

    /// Creates an account.
    public init(username: String, token: String? = nil) {
      self.username = username
      self.token = token
    }
  }

  /// One app that is registered with a platform.
  public struct App: Sendable {
    /// The platform's name, such as `x`.
    public var platform: String
    /// The app's id, without a colon.
    public var clientID: String
    /// The app's secret.
    public var secret: String
    /// Addresses that people may come back to, compared byte by byte.
    public var redirectAddresses: [String]

    /// Creates an app that the platform has looked at.
    public init(platform: String, clientID: String, secret: String, redirectAddresses: [String]) {
      self.platform = platform
      self.clientID = clientID
      self.secret = secret
      self.redirectAddresses = redirectAddresses
    }
  }

  /// The IPv4 address to listen on; anyone who reaches it may change the sandbox.
  public var host: String
  /// The port; 0 lets the system choose.
  public var port: UInt16
  /// More connections are answered with 503.
  public var maximumConnections: Int
  /// Seconds after which a silent connection is closed.
  public var idleSeconds: Int
  /// What the platforms allow at first.
  public var settings: SandboxSettings
  /// Accounts that exist from the start.
  public var accounts: [XAccount]
  /// Webhook endpoints that exist from the start.
  public var hooks: [Hook]
  /// Accounts of Microblog that exist from the start.
  public var microblogAccounts: [MicroblogAccount]
  /// Accounts of LinkedIn, Facebook, Instagram, Threads and TikTok that exist from the start.
  public var consentAccounts: [ConsentAccount]
  /// Apps that are registered from the start.
  public var apps: [App]

  /// A sandbox on a free port of the loopback address.
  public init(
    host: String = "127.0.0.1",
    port: UInt16 = 0,
    maximumConnections: Int = 2000,
    idleSeconds: Int = 300,
    settings: SandboxSettings = SandboxSettings(),
    accounts: [XAccount] = [],
    hooks: [Hook] = [],
    microblogAccounts: [MicroblogAccount] = [],
    consentAccounts: [ConsentAccount] = [],
    apps: [App] = []
  ) {
    self.host = host
    self.port = port
    self.maximumConnections = maximumConnections
    self.idleSeconds = idleSeconds
    self.settings = settings
    self.accounts = accounts
    self.hooks = hooks
    self.microblogAccounts = microblogAccounts
    self.consentAccounts = consentAccounts
    self.apps = apps
  }
}
