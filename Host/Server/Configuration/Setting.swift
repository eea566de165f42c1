/// A setting of the host: an environment variable or a line of the settings file.
package enum Setting: String, Sendable, CaseIterable {
  case databaseURL = "DATABASE_URL"
  case databaseDirectURL = "DATABASE_DIRECT_URL"
  case encryptionKey = "OAUTH_ENCRYPTION_KEY"
  case home = "ROSTRUM_HOME"
  case listen = "ROSTRUM_LISTEN"
  case publicURL = "ROSTRUM_PUBLIC_URL"
  case media = "ROSTRUM_MEDIA"
  case egressAllow = "ROSTRUM_EGRESS_ALLOW"
  case originOverrides = "ROSTRUM_ORIGIN_OVERRIDES"
  case rateLimits = "ROSTRUM_RATE_LIMITS"
  case breakerFirst = "ROSTRUM_BREAKER_SECONDS"
  case breakerNotice = "ROSTRUM_BREAKER_NOTICE_SECONDS"
  case slots = "ROSTRUM_SLOTS"
  case attempts = "ROSTRUM_ATTEMPTS"
  case duplicateWindow = "ROSTRUM_DUPLICATE_WINDOW"
  case manifests = "ROSTRUM_MANIFESTS"
  case plugins = "ROSTRUM_PLUGINS"
  case postgresBinaries = "ROSTRUM_POSTGRES_BIN"
  case log = "ROSTRUM_LOG"
  case apiRate = "ROSTRUM_API_RATE"
  case sessionIdle = "ROSTRUM_SESSION_IDLE_MINUTES"
  case sessionHours = "ROSTRUM_SESSION_HOURS"
  case allowUnjailed = "ROSTRUM_ALLOW_UNJAILED"
  case jailTier = "ROSTRUM_JAIL_TIER"
  case retentionDays = "ROSTRUM_RETENTION_DAYS"
  case auditRetentionDays = "ROSTRUM_AUDIT_RETENTION_DAYS"
  case auditFolder = "ROSTRUM_AUDIT_FOLDER"
  case smtpServer = "ROSTRUM_SMTP_SERVER"
  case smtpUser = "ROSTRUM_SMTP_USER"
  case smtpPassword = "ROSTRUM_SMTP_PASSWORD"
  case smtpFrom = "ROSTRUM_SMTP_FROM"
  case smtpSecurity = "ROSTRUM_SMTP_SECURITY"
  case smtpAuthorities = "ROSTRUM_SMTP_CA"
  case demoOnce = "ROSTRUM_DEMO_ONCE"
  case demoStartedAt = "ROSTRUM_DEMO_STARTED_AT"

  /// The end of the name of a setting whose value stands in a file.
  static let fileSuffix = "_FILE"

  /// Whether the value is wiped from the environment and never shown.
  package var isSecret: Bool {
    switch self {
    case .databaseURL, .databaseDirectURL, .encryptionKey, .smtpPassword: true
    default: false
    }
  }

  /// Whether a name belongs to systems that the requirements mention and this host does without.
  static func isUnused(_ name: String) -> Bool {
    name.hasPrefix("REDIS_") || name.hasPrefix("QUEUE_") || name == "DISTRIBUTION_API_TIMEOUT"
  }
}
