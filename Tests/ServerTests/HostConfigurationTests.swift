import Cryptography
import Egress
import FoundationEssentials
import Jail
import Logging
import Publishing
import Server
import Testing

@Suite struct HostConfigurationTests {
  private let folder: TemporaryFolder
  private let installation: Installation

  init() throws {
    folder = try TemporaryFolder()
    for name in ["plugin-manifests", "migrations"] { try folder.makeFolder(name) }
    installation = Installation(directory: folder.path)
  }

  private func load(
    _ environment: [String: String],
    file: String? = nil
  ) throws(ConfigurationError) -> HostConfiguration {
    try HostConfiguration.load(
      environment: ["HOME": "/home/someone"].merging(environment) { $1 },
      file: file,
      installation: installation
    )
  }

  private func problems(_ environment: [String: String], file: String? = nil) -> [String] {
    do throws(ConfigurationError) {
      _ = try load(environment, file: file)
      return []
    } catch {
      return error.problems
    }
  }

  @Test func everythingHasADefault() throws {
    let configuration = try load(["ROSTRUM_HOME": "/srv/rostrum"])
    #expect(configuration.database == nil)
    #expect(configuration.encryptionKey == nil)
    #expect(configuration.home == "/srv/rostrum")
    #expect(configuration.media == "/srv/rostrum/media")
    #expect(configuration.listen == ListenAddress(host: "127.0.0.1", port: 8080))
    #expect(configuration.slots == 64)
    #expect(configuration.apiRate == 1_000)
    #expect(configuration.logLevel == .info)
    #expect(configuration.manifests == folder.path + "/plugin-manifests")
    #expect(configuration.migrations == folder.path + "/migrations")
    #expect(configuration.plugins == folder.path)
    #expect(configuration.bestTier == .a)
    #expect(configuration.retentionDays == 30)
    #expect(configuration.warnings.isEmpty)
  }

  @Test func readsEveryValue() throws {
    let key = String(repeating: "ab", count: 32)
    let configuration = try load([
      "DATABASE_URL": "postgres://user:hunter2@db.example/posts",
      "DATABASE_DIRECT_URL": "postgres://user:hunter2@db.example:6000/posts",
      "OAUTH_ENCRYPTION_KEY": key, "ROSTRUM_HOME": "/srv/rostrum/", "ROSTRUM_LISTEN": "[::1]:9000",
      "ROSTRUM_PUBLIC_URL": "https://rostrum.example.org/", "ROSTRUM_MEDIA": "/srv/media",
      "ROSTRUM_EGRESS_ALLOW": "10.1.0.0/16", "ROSTRUM_ORIGIN_OVERRIDES": "https://a.example=http://127.0.0.1:4455",
      "ROSTRUM_RATE_LIMITS": "one=50/900", "ROSTRUM_SLOTS": "1024", "ROSTRUM_LOG": "debug", "ROSTRUM_API_RATE": "5",
      "ROSTRUM_JAIL_TIER": "C", "ROSTRUM_RETENTION_DAYS": "7",
      "ROSTRUM_ATTEMPTS": "7", "ROSTRUM_DUPLICATE_WINDOW": "0",
    ])
    #expect(configuration.database != nil && configuration.directDatabase != nil)
    #expect(configuration.encryptionKey == Secret(key))
    #expect(configuration.home == "/srv/rostrum")
    #expect(configuration.listen == ListenAddress(host: "::1", port: 9000))
    #expect(configuration.publicURL == "https://rostrum.example.org")
    #expect(configuration.media == "/srv/media")
    #expect(configuration.addressPolicy.allowed.count == 1)
    #expect(configuration.addressPolicy.overrides.count == 1)
    #expect(configuration.slots == 1024)
    #expect(configuration.attempts == 7)
    #expect(configuration.contentGuard.window == 0)
    #expect(configuration.logLevel == .debug)
    #expect(configuration.apiRate == 5)
    #expect(configuration.bestTier == .c)
    #expect(configuration.retentionDays == 7)
  }

  @Test func tellsAllProblemsAtOnceAndQuotesNoSecret() {
    let found = problems([
      "ROSTRUM_HOME": "/srv/rostrum", "ROSTRUM_SLOTS": "1025", "ROSTRUM_LISTEN": "example.org:80",
      "ROSTRUM_LOG": "loud", "ROSTRUM_API_RATE": "0", "ROSTRUM_PUBLIC_URL": "ftp://a.example",
      "ROSTRUM_EGRESS_ALLOW": "1.2.3", "ROSTRUM_ORIGIN_OVERRIDES": "nothing", "ROSTRUM_RATE_LIMITS": "one",
      "ROSTRUM_COLOUR": "blue", "DATABASE_URL": "postgres://u:hunter2@h:port/db", "OAUTH_ENCRYPTION_KEY": "hunter2",
      "ROSTRUM_JAIL_TIER": "d", "ROSTRUM_RETENTION_DAYS": "0",
    ])
    for name in [
      "ROSTRUM_JAIL_TIER", "ROSTRUM_RETENTION_DAYS",
      "ROSTRUM_SLOTS", "ROSTRUM_LISTEN", "ROSTRUM_LOG", "ROSTRUM_API_RATE", "ROSTRUM_PUBLIC_URL",
      "ROSTRUM_EGRESS_ALLOW", "ROSTRUM_ORIGIN_OVERRIDES", "ROSTRUM_RATE_LIMITS", "ROSTRUM_COLOUR",
      "OAUTH_ENCRYPTION_KEY",
    ] {
      #expect(found.contains { $0.contains(name) }, "nothing about \(name)")
    }
    #expect(!found.joined().contains("hunter2"))
    #expect(found.contains { $0.contains("“1025”") && $0.contains("1 to 1024") })
  }

  @Test func readsHowMailsAreSent() throws {
    #expect(try load(["HOME": "/h"]).mail == nil)
    let password = try folder.write("hunter2\n", to: "password")
    let whole = try #require(
      try load([
        "ROSTRUM_SMTP_SERVER": "mail.example.org", "ROSTRUM_SMTP_FROM": "host@example.org", "ROSTRUM_SMTP_USER": "me",
        "ROSTRUM_SMTP_PASSWORD_FILE": password,
      ]).mail
    )
    #expect(whole.host == "mail.example.org")
    #expect(whole.port == 587)
    #expect(whole.security == "starttls")
    #expect(whole.password?.revealText() == "hunter2")
    let places: [(String, String, String, UInt16)] = [
      ("127.0.0.1:2525", "none", "127.0.0.1", 2_525), ("[::1]:465", "tls", "::1", 465), ("[::1]", "tls", "::1", 465),
      ("mail", "none", "mail", 25),
    ]
    for (server, security, host, port) in places {
      let mail = try load([
        "ROSTRUM_SMTP_SERVER": server, "ROSTRUM_SMTP_FROM": "a@b", "ROSTRUM_SMTP_SECURITY": security,
      ]).mail
      #expect(mail?.host == host)
      #expect(mail?.port == port)
      #expect(mail?.user == nil)
    }
  }

  @Test(arguments: [
    ["ROSTRUM_SMTP_SERVER": "mail"], ["ROSTRUM_SMTP_FROM": "a@b"],
    ["ROSTRUM_SMTP_SERVER": "mail", "ROSTRUM_SMTP_FROM": "a@b\r\nBcc: c@d"],
    ["ROSTRUM_SMTP_SERVER": "mail", "ROSTRUM_SMTP_FROM": "a@b", "ROSTRUM_SMTP_SECURITY": "maybe"],
    ["ROSTRUM_SMTP_SERVER": "mail", "ROSTRUM_SMTP_FROM": "a@b", "ROSTRUM_SMTP_USER": "me"],
    ["ROSTRUM_SMTP_SERVER": "mail", "ROSTRUM_SMTP_FROM": "a@b", "ROSTRUM_SMTP_PASSWORD": "hunter2"],
    ["ROSTRUM_SMTP_SERVER": "mail", "ROSTRUM_SMTP_FROM": "a@b", "ROSTRUM_SMTP_CA": "/no/such/file"],
    ["ROSTRUM_SMTP_SERVER": "mail:0", "ROSTRUM_SMTP_FROM": "a@b"],
    ["ROSTRUM_SMTP_SERVER": "mail:99999", "ROSTRUM_SMTP_FROM": "a@b"],
    ["ROSTRUM_SMTP_SERVER": "mail/path", "ROSTRUM_SMTP_FROM": "a@b"],
    ["ROSTRUM_SMTP_SERVER": "", "ROSTRUM_SMTP_USER": "me", "ROSTRUM_SMTP_PASSWORD": "hunter2"],
  ])
  func halfAMailServerIsRefused(environment: [String: String]) {
    let found = problems(environment)
    #expect(!found.isEmpty)
    #expect(found.allSatisfy { $0.contains("ROSTRUM_SMTP_") && !$0.contains("hunter2") })
  }

  @Test func theEnvironmentWinsOverTheFile() throws {
    let file = try folder.write(
      "# the host's settings\nROSTRUM_HOME=/from/file\n\nROSTRUM_SLOTS = \"7\"\nROSTRUM_LOG='error'\n",
      to: "settings"
    )
    let configuration = try load(["ROSTRUM_SLOTS": "9"], file: file)
    #expect(configuration.home == "/from/file")
    #expect(configuration.slots == 9)
    #expect(configuration.logLevel == .error)
  }

  @Test func aFileOfTheEnvironmentReplacesAValueOfTheSettingsFile() throws {
    let secret = try folder.write("12\n", to: "slots")
    let file = try folder.write("ROSTRUM_HOME=/h\nROSTRUM_SLOTS=7\n", to: "settings")
    #expect(try load(["ROSTRUM_SLOTS_FILE": secret], file: file).slots == 12)
  }

  @Test func readsASecretFromItsFile() throws {
    let key = String(repeating: "cd", count: 32)
    let path = try folder.write(key + "\n", to: "key", mode: 0o600)
    let configuration = try load(["ROSTRUM_HOME": "/h", "OAUTH_ENCRYPTION_KEY_FILE": path])
    #expect(configuration.encryptionKey == Secret(key))
    #expect(configuration.warnings.isEmpty)
  }

  @Test func warnsOfASecretThatOthersCanRead() throws {
    let path = try folder.write(String(repeating: "cd", count: 32), to: "key", mode: 0o644)
    let configuration = try load(["ROSTRUM_HOME": "/h", "OAUTH_ENCRYPTION_KEY_FILE": path])
    #expect(configuration.warnings.contains { $0.contains("chmod 600") })
  }

  @Test func refusesAValueAndItsFileTogether() {
    let found = problems(["ROSTRUM_HOME": "/h", "ROSTRUM_SLOTS": "3", "ROSTRUM_SLOTS_FILE": "/etc/hostname"])
    #expect(found == ["ROSTRUM_SLOTS and ROSTRUM_SLOTS_FILE are both set in the environment; set one of them"])
  }

  @Test func refusesAFileThatIsNotThere() {
    let found = problems(["ROSTRUM_HOME": "/h", "ROSTRUM_SLOTS_FILE": "/does/not/exist"])
    #expect(found.count == 1 && found[0].contains("/does/not/exist"))
  }

  @Test func warnsOfWhatItKnowsAndDoesNotUse() throws {
    let file = try folder.write("ROSTRUM_HOME=/h\nSOME_CLIENT_ID=1\nOTHER_SECRET_FILE=/s\n", to: "settings")
    let configuration = try load(["REDIS_HOST": "localhost", "QUEUE_WORKER_CONCURRENCY": "5"], file: file)
    #expect(configuration.warnings.count == 2)
    for name in ["REDIS_HOST", "QUEUE_WORKER_CONCURRENCY"] {
      #expect(configuration.warnings.contains { $0.contains(name) })
    }
    // Whether these are of use depends on the plugins.
    let settings = configuration.platformSettings
    #expect(settings.unknown(besides: []) == ["OTHER_SECRET_FILE", "SOME_CLIENT_ID"])
    #expect(settings.unknown(besides: ["SOME_CLIENT_ID", "OTHER_SECRET"]) == [])
  }

  @Test func ignoresVariablesOfOtherPrograms() throws {
    #expect(try load(["ROSTRUM_HOME": "/h", "PATH": "/bin", "LC_ALL": "C"]).warnings.isEmpty)
  }

  @Test func refusesLinesThatAreNoSettings() throws {
    let file = try folder.write("ROSTRUM_HOME=/h\nhunter2\nROSTRUM_HOME=/i\n", to: "settings")
    let found = problems([:], file: file)
    #expect(found == ["line 2 of \(file) is not KEY=VALUE", "line 3 of \(file) sets ROSTRUM_HOME a second time"])
  }

  @Test func aDirectAddressNeedsTheOtherOne() {
    let found = problems(["ROSTRUM_HOME": "/h", "DATABASE_DIRECT_URL": "postgres://db.example/posts"])
    #expect(found.count == 1 && found[0].contains("DATABASE_URL"))
  }

  @Test func saysThatTheManifestsAreMissing() throws {
    let empty = try TemporaryFolder()
    #expect(throws: ConfigurationError.self) {
      try HostConfiguration.load(
        environment: ["ROSTRUM_HOME": "/h"],
        installation: Installation(directory: empty.path)
      )
    }
  }

  @Test(arguments: [
    ("127.0.0.1:8080", "127.0.0.1", 8080), ("[::1]:80", "::1", 80), (":0", "", 0),
    ("localhost:65535", "127.0.0.1", 65535),
  ])
  func readsListenAddresses(text: String, host: String, port: UInt16) {
    #expect(ListenAddress(text) == ListenAddress(host: host, port: port))
  }

  @Test(arguments: [
    "", "8080", "127.0.0.1", "127.0.0.1:65536", "127.0.0.1:-1", "::1:80", "[127.0.0.1]:80", "a.example:80",
  ])
  func refusesListenAddresses(text: String) {
    #expect(ListenAddress(text) == nil)
  }
}
