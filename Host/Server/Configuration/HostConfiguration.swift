package import Cryptography
package import Egress
internal import FoundationEssentials
internal import Glibc
package import Jail
package import Logging
package import Postgres
package import Publishing

/// The checked settings of a host.
package struct HostConfiguration: Sendable {
  /// The database; nil for a private one in the home.
  package var database: Postgres.Configuration?
  /// The same database without a pooler between, for locks and LISTEN; nil when `database` is direct.
  package var directDatabase: Postgres.Configuration?
  /// The value of `OAUTH_ENCRYPTION_KEY`; nil for the key file in the home.
  package var encryptionKey: Secret?
  /// Absolute path of the folder with everything that belongs to this host alone.
  package var home: String
  package var listen: ListenAddress
  /// The address that people and platforms reach the host at; nil for the one it listens on.
  package var publicURL: String?
  /// Absolute path of the folder of uploaded files.
  package var media: String
  package var addressPolicy: AddressPolicy
  package var egressAllow: String
  package var originOverrides: String
  package var accountLimits: AccountLimits
  package var breakers: BreakerSettings
  /// Jobs that run at the same time, 1 to 1024.
  package var slots: Int
  /// Counted attempts of a delivery, 1 to 100.
  package var attempts: Int
  /// How long an account does not say the same thing again unasked.
  package var contentGuard: ContentGuard
  package var manifests: String
  package var migrations: String
  /// The folder of the plugins' executables.
  package var plugins: String
  package var postgresBinaries: String?
  package var logLevel: LogLevel
  /// Requests per second that one token may make.
  package var apiRate: Int
  /// After how many unused minutes a person's session ends.
  package var sessionIdleMinutes: Int
  /// After how many hours a person's session ends, used or not.
  package var sessionHours: Int
  /// Absolute path of the program that puts plugins into a jail.
  package var launcher: String
  /// Whether plugins of other publishers may run where the jail does not hold them.
  package var allowsUnjailed: Bool
  /// The best tier of the jail that plugins may run in; a lower one is taken where the machine has no better.
  package var bestTier: JailTier
  /// How many days ended deliveries keep answers of platforms, captured secrets and bodies, and how long the logs of
  /// webhooks, closed notices and mails stay.
  package var retentionDays: Int
  /// How many days rows of the audit trail stay; nil: for ever.
  package var auditRetentionDays: Int?
  /// Absolute path of the folder with the signed heads of the audit trail, best on another disk.
  package var auditFolder: String
  /// The settings that were given, as lines of a settings file; without secrets.
  package var settingsText: String
  /// Nil when the host sends no mails.
  package var mail: MailSettings?
  /// What operators set for platforms.
  package var platformSettings: PlatformSettings
  /// What is not wrong but deserves a look.
  package var warnings: [String]

  /// Reads the settings.
  ///
  /// - Parameters:
  ///   - environment: What `ProcessEnvironment.take()` returned.
  ///   - file: The settings file of `--config`.
  package static func load(
    environment: [String: String],
    file: String? = nil,
    installation: Installation = .current
  ) throws(ConfigurationError) -> HostConfiguration {
    var fileValues: (String, [String: String])?
    if let file {
      guard let data = FileManager.default.contents(atPath: file), let text = String(validating: data, as: UTF8.self)
      else { throw ConfigurationError(problems: ["the settings file \(file) can not be read"]) }
      fileValues = (file, try SettingsFile.parse(text, name: file))
    }
    let values = SettingValues(environment: environment, file: fileValues)
    let platforms = PlatformSettings(environment: environment, file: fileValues?.1)
    var reader = ConfigurationReader(values, environment: environment, platforms: platforms)
    let configuration = reader.read(installation)
    guard reader.problems.isEmpty else { throw ConfigurationError(problems: reader.problems) }
    return configuration
  }

  /// The address of a link that lets somebody in. The secret stands behind #, which browsers send to nobody.
  ///
  /// - Parameter url: where the host is reached without a public address; nil: the configured port.
  package func signInLink(_ secret: String, url: String? = nil) -> String {
    "\(publicURL ?? url ?? listen.url(port: listen.port))/welcome#\(secret)"
  }

  /// The address that people and platforms reach the host at; nil as long as the system has not chosen its port.
  package var ownAddress: String? { publicURL ?? (listen.port == 0 ? nil : listen.url(port: listen.port)) }

  /// The file with the key that seals credentials, where `OAUTH_ENCRYPTION_KEY` is not set.
  package var keyFile: String { home + "/vault.key" }

  /// The key that signs the plugins which this host packs itself.
  package var pluginKeyFile: String { home + "/plugins.key" }

  /// Where the bundles of plugins lie unpacked.
  package var pluginFolder: String { home + "/plugins" }

  /// Where running plugins are noted, so that what a killed host left behind is found.
  package var runFolder: String { home + "/run" }

  /// How far the database had come when this home last looked.
  package var markFile: String { home + "/high-water.mark" }

  /// Where outcomes wait that could not be stored.
  package var spoolFile: String { home + "/outcomes.spool" }

  /// Renewed tokens that wait for the database, sealed.
  package var tokenFolder: String { home + "/tokens.spool" }
}
