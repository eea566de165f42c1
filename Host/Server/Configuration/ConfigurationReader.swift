internal import Cryptography
internal import Egress
internal import FoundationEssentials
internal import Glibc
internal import Jail
internal import Logging
internal import Postgres
internal import Publishing
internal import Vault

/// Turns the texts of the settings into values and gathers what is wrong with them.
struct ConfigurationReader {
  private let values: SettingValues
  private let environment: [String: String]
  private let platforms: PlatformSettings
  private(set) var problems: [String]

  init(_ values: SettingValues, environment: [String: String], platforms: PlatformSettings) {
    self.values = values
    self.platforms = platforms
    self.environment = environment
    problems = values.problems
  }

  /// Reads everything; what is wrong stands in `problems`, and the value is of use only when there is none.
  mutating func read(_ installation: Installation) -> HostConfiguration {
    let home = path(.home) ?? defaultHome()
    let (allow, overrides) = (values.texts[.egressAllow] ?? "", values.texts[.originOverrides] ?? "")
    let configuration = HostConfiguration(
      database: database(.databaseURL),
      directDatabase: database(.databaseDirectURL),
      encryptionKey: encryptionKey(),
      home: home,
      listen: value(.listen, allowed: "a numeric address and a port, such as 127.0.0.1:8080 or [::1]:8080") {
        ListenAddress($0)
      } ?? ListenAddress(host: "127.0.0.1", port: 8080),
      publicURL: value(.publicURL, allowed: "an address such as https://rostrum.example.org", Self.publicURL),
      media: path(.media) ?? home + "/media",
      addressPolicy: addressPolicy(allow, overrides),
      egressAllow: allow,
      originOverrides: overrides,
      accountLimits: accountLimits(),
      breakers: breakers(),
      slots: number(.slots, 1...1024) ?? 64,
      attempts: number(.attempts, 1...100) ?? 3,
      contentGuard: ContentGuard(
        window: TimeInterval(number(.duplicateWindow, 0...Int(ContentGuard.longestWindow)) ?? 86_400)
      ),
      manifests: folder(.manifests, standing: "plugin-manifests", installation),
      migrations: migrations(installation),
      plugins: existingFolder(.plugins) ?? installation.directory,
      postgresBinaries: existingFolder(.postgresBinaries),
      logLevel: value(.log, allowed: LogLevel.allCases.map(\.name).joined(separator: ", ")) { LogLevel(name: $0) }
        ?? .info,
      apiRate: number(.apiRate, 1...1_000_000) ?? 1_000,
      sessionIdleMinutes: number(.sessionIdle, 5...1_440) ?? 30,
      sessionHours: number(.sessionHours, 1...720) ?? 12,
      launcher: launcher(installation),
      allowsUnjailed: value(.allowUnjailed, allowed: "1 or 0") { ["1": true, "0": false][$0] } ?? false,
      bestTier: value(.jailTier, allowed: JailTier.allCases.map(\.description).joined(separator: ", ")) {
        JailTier(rawValue: $0.lowercased())
      } ?? .a,
      retentionDays: number(.retentionDays, 1...3_650) ?? 30,
      auditRetentionDays: number(.auditRetentionDays, 90...36_500),
      auditFolder: existingFolder(.auditFolder) ?? home + "/audit",
      settingsText: values.texts.filter { !$0.key.isSecret }.map { "\($0.key.rawValue)=\($0.value)\n" }.sorted()
        .joined(),
      mail: mail(),
      platformSettings: platforms,
      warnings: values.warnings
    )
    if configuration.directDatabase != nil, configuration.database == nil {
      problems.append("DATABASE_DIRECT_URL is set without DATABASE_URL; set both, or none for a private database")
    }
    checkDemo()
    return configuration
  }

  // MARK: Kinds of values

  private mutating func value<Value>(
    _ setting: Setting,
    allowed: String,
    _ parse: (String) -> Value?
  ) -> Value? {
    guard let text = values.texts[setting] else { return nil }
    if let value = parse(text) { return value }
    problems.append("\(setting.rawValue) is “\(text.prefix(200))”; allowed is \(allowed)")
    return nil
  }

  private mutating func number(_ setting: Setting, _ range: ClosedRange<Int>) -> Int? {
    value(setting, allowed: "a whole number from \(range.lowerBound) to \(range.upperBound)") { text in
      Int(text).flatMap { range.contains($0) ? $0 : nil }
    }
  }

  private mutating func path(_ setting: Setting) -> String? {
    value(setting, allowed: "a path") { text in
      text.utf8.contains(0) ? nil : Self.absolute(text)
    }
  }

  private mutating func existingFolder(_ setting: Setting) -> String? {
    value(setting, allowed: "a folder that exists") { text in
      Installation.isFolder(text) ? Self.absolute(text) : nil
    }
  }

  private mutating func folder(_ setting: Setting, standing name: String, _ installation: Installation) -> String {
    if values.texts[setting] != nil { return existingFolder(setting) ?? "" }
    if let found = installation.folder(name) { return found }
    problems.append("\(setting.rawValue) is not set and there is no folder \(name) near the program; set it")
    return ""
  }

  /// The folder lies beside the manifests, so that setting one of them is enough.
  private mutating func migrations(_ installation: Installation) -> String {
    if let manifests = values.texts[.manifests] {
      let beside = Self.absolute(manifests) + "/../migrations"
      if Installation.isFolder(beside) { return beside }
    }
    if let found = installation.folder("migrations") { return found }
    problems.append("there is no folder migrations near the program \(installation.directory); install it again")
    return ""
  }

  /// Beside the program, or beside the plugins where those are elsewhere.
  private func launcher(_ installation: Installation) -> String {
    let folders = [installation.directory] + (values.texts[.plugins].map { [Self.absolute($0)] } ?? [])
    let paths = folders.map { "\($0)/rostrum-jail" }
    return paths.first { unsafe access($0, X_OK) == 0 } ?? "\(installation.directory)/rostrum-jail"
  }

  private mutating func database(_ setting: Setting) -> Postgres.Configuration? {
    guard let text = values.texts[setting] else { return nil }
    do {
      return try Postgres.Configuration(url: text)
    } catch {
      problems.append("\(setting.rawValue) can not be read; allowed is postgres://user:password@host:5432/database")
      return nil
    }
  }

  private mutating func encryptionKey() -> Secret? {
    guard let secret = values.texts[.encryptionKey].map({ Secret($0) }) else { return nil }
    do {
      _ = try Keyring(secret)
    } catch {
      problems.append("\(error)")
    }
    return secret
  }

  private mutating func addressPolicy(_ allow: String, _ overrides: String) -> AddressPolicy {
    var policy = AddressPolicy()
    // Each is read alone first, so that a mistake in one does not hide a mistake in the other.
    for (allow, overrides) in [(allow, ""), ("", overrides)] {
      do {
        policy = try AddressPolicy(allow: allow, overrides: overrides)
      } catch {
        problems.append("\(error)")
      }
    }
    do {
      policy = try AddressPolicy(allow: allow, overrides: overrides)
    } catch {
      // Reported above already.
    }
    return policy
  }

  private mutating func accountLimits() -> AccountLimits {
    do {
      return try AccountLimits(values.texts[.rateLimits] ?? "")
    } catch {
      problems.append("\(Setting.rateLimits.rawValue): \(error)")
      return AccountLimits()
    }
  }

  private mutating func breakers() -> BreakerSettings {
    var settings = BreakerSettings()
    if let first = number(.breakerFirst, 1...900) { settings.firstPause = Double(first) }
    if let notice = number(.breakerNotice, 1...86_400) { settings.longAfter = Double(notice) }
    return settings
  }

  private mutating func mail() -> MailSettings? {
    let security =
      value(.smtpSecurity, allowed: "starttls, tls or none") { ["starttls", "tls", "none"].contains($0) ? $0 : nil }
      ?? "starttls"
    let place = value(.smtpServer, allowed: "a host and a port, such as mail.example.org:587") {
      MailSettings.place($0, security: security)
    }
    let from = value(.smtpFrom, allowed: "an address such as rostrum@example.org") {
      MailSettings.isAddress($0) ? $0 : nil
    }
    let authorities = value(.smtpAuthorities, allowed: "the path of a file that can be read") { path in
      unsafe access(path, R_OK) == 0 ? Self.absolute(path) : nil
    }
    guard values.texts[.smtpServer] != nil else {
      for setting in [Setting.smtpUser, .smtpPassword, .smtpFrom] where values.texts[setting] != nil {
        problems.append("\(setting.rawValue) is set without ROSTRUM_SMTP_SERVER; set both, or none to send no mails")
      }
      return nil
    }
    if values.texts[.smtpFrom] == nil {
      problems.append("ROSTRUM_SMTP_SERVER is set without ROSTRUM_SMTP_FROM; set the address that mails come from")
    }
    let (user, password) = (values.texts[.smtpUser], values.texts[.smtpPassword])
    if (user == nil) != (password == nil) {
      problems.append("Only one of ROSTRUM_SMTP_USER and ROSTRUM_SMTP_PASSWORD is set; set both or none")
    }
    guard let place, let from else { return nil }
    return MailSettings(
      host: place.host,
      port: place.port,
      security: security,
      user: user,
      password: password.map { Secret($0) },
      from: from,
      certificateAuthorities: authorities
    )
  }

  private mutating func defaultHome() -> String {
    if geteuid() == 0 { return "/var/lib/rostrum" }
    if let data = environment["XDG_DATA_HOME"], data.hasPrefix("/") { return data + "/rostrum" }
    if let home = environment["HOME"], home.hasPrefix("/") { return home + "/.local/share/rostrum" }
    problems.append("ROSTRUM_HOME is not set and neither is HOME; set one of them")
    return ""
  }

  private mutating func checkDemo() {
    _ = value(.demoOnce, allowed: "1") { $0 == "1" || $0 == "0" ? $0 : nil }
    _ = value(.demoStartedAt, allowed: "seconds since 1970") { Double($0) }
  }

  // MARK: Texts

  private static func publicURL(_ text: String) -> String? {
    guard let url = URL(string: text), url.scheme == "http" || url.scheme == "https", let host = url.host(),
      !host.isEmpty, url.user() == nil, url.query() == nil
    else { return nil }
    return text.hasSuffix("/") ? String(text.dropLast()) : text
  }

  static func absolute(_ path: String) -> String {
    var path = path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    return path
  }
}
