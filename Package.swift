// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InferIsolatedConformances"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
]

func module(_ name: String, in directory: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, path: "\(directory)/\(name)", swiftSettings: settings)
}

func executable(_ name: String, at path: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(name: name, dependencies: dependencies, path: path, swiftSettings: settings)
}

func system(_ name: String, _ pkgConfig: String, apt: String) -> Target {
  .systemLibrary(name: name, path: "Host/CLibraries/\(name)", pkgConfig: pkgConfig, providers: [.apt([apt])])
}

func plugin(_ name: String, at directory: String) -> Target {
  executable(name, at: "Plugins/\(directory)", ["PluginKit"])
}

func tests(_ name: String, at path: String? = nil, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies, path: path ?? "Tests/\(name)", swiftSettings: settings)
}

let package = Package(
  name: "rostrum",
  products: [
    .executable(name: "rostrum", targets: ["rostrum"]),
    .executable(name: "rostrum-jail", targets: ["rostrum-jail"]),
    .executable(name: "rostrum-sandbox", targets: ["rostrum-sandbox"]),
    .library(name: "PluginKit", targets: ["PluginKit"]),
    .library(name: "PluginTestKit", targets: ["PluginTestKit"]),
  ],
  targets: [
    // MARK: C libraries
    .target(name: "CHostShims", path: "Host/CLibraries/CHostShims"),
    system("CCurl", "libcurl", apt: "libcurl4-openssl-dev"),
    system("CJansson", "jansson", apt: "libjansson-dev"),
    system("CMicroHTTPD", "libmicrohttpd", apt: "libmicrohttpd-dev"),
    system("COpenSSL", "openssl", apt: "libssl-dev"),
    system("CPostgres", "libpq", apt: "libpq-dev"),

    // MARK: SDK
    module("JSONText", in: "SDK"),
    module("PluginProtocol", in: "SDK", ["JSONText"]),
    module("PluginTransport", in: "SDK", ["JSONText", "PluginProtocol"]),
    module("PluginKit", in: "SDK", ["JSONText", "PluginProtocol", "PluginTransport"]),
    module("PluginTestKit", in: "SDK", ["JSONText", "PluginKit", "PluginProtocol", "PluginTransport"]),
    module("SandboxKit", in: "SDK"),
    executable("rostrum-sandbox", at: "SDK/Sandbox", ["SandboxKit"]),
    tests("JSONTextTests", ["JSONText"]),
    tests("PluginTransportTests", ["JSONText", "PluginProtocol", "PluginTransport"]),
    tests(
      "PluginKitTests",
      ["JSONText", "PluginKit", "PluginProtocol", "PluginTestKit", "PluginTransport", "plugin-x"]
    ),
    tests(
      "PluginTestKitTests",
      [
        "JSONText", "PluginKit", "PluginProtocol", "PluginTestKit", "PluginTransport", "plugin-webhook", "plugin-x",
      ]
    ),
    tests("SandboxKitTests", ["SandboxKit", "rostrum-sandbox"]),

    // MARK: Plugins
    plugin("plugin-webhook", at: "Webhook"),
    plugin("plugin-x", at: "X"),
    tests("PluginWebhookTests", ["PluginKit", "PluginTestKit", "plugin-webhook"]),
    tests("PluginXTests", ["PluginKit", "PluginTestKit", "plugin-x"]),

    // MARK: Foundations
    module("Cryptography", in: "Host", ["COpenSSL"]),
    module("HTTPClient", in: "Host", ["CCurl"]),
    module("HTTPServer", in: "Host", ["CMicroHTTPD", "Logging"]),
    module("JSONDocument", in: "Host", ["CJansson"]),
    module("Logging", in: "Host"),
    module("Postgres", in: "Host", ["CPostgres", "Logging"]),
    module("Processes", in: "Host", ["CHostShims"]),
    module("ServiceTree", in: "Host", ["Logging"]),
    tests("CryptographyTests", ["Cryptography"]),
    tests("HTTPClientTests", ["HTTPClient"]),
    tests("HTTPServerTests", ["FuzzSupport", "HTTPServer", "Logging"]),
    tests("JSONDocumentTests", ["JSONDocument"]),
    tests("LoggingTests", ["Logging"]),
    tests("PostgresTests", ["Postgres", "TestSupport"]),
    tests("ProcessesTests", ["Processes"]),
    tests("ServiceTreeTests", ["Logging", "ServiceTree"]),

    // MARK: Storage and queue
    module("Audit", in: "Host", ["Postgres"]),
    module("Migrations", in: "Host", ["Cryptography", "Logging", "Postgres", "Processes", "ServiceTree"]),
    module("JobQueue", in: "Host", ["Logging", "Postgres", "ServiceTree"]),
    module("Outbox", in: "Host", ["Logging", "Postgres", "ServiceTree"]),
    tests("AuditTests", ["Audit", "Postgres", "TestSupport"]),
    tests("MigrationsTests", ["Logging", "Migrations", "Postgres", "Processes", "ServiceTree", "TestSupport"]),
    tests("JobQueueTests", ["JobQueue", "Logging", "Postgres", "ServiceTree", "TestSupport"]),
    tests("OutboxTests", ["Logging", "Outbox", "Postgres", "TestSupport"]),

    // MARK: Jail
    // Pure C. Static in release: it starts with each plugin, and part of it stays beside the plugin.
    .executableTarget(
      name: "rostrum-jail",
      path: "Host/Launcher",
      cSettings: [.enableWarning("all"), .enableWarning("extra"), .treatAllWarnings(as: .error)],
      linkerSettings: [
        .linkedLibrary("seccomp"),
        .unsafeFlags(["-nostartfiles"]),
        .unsafeFlags(["-static-executable"], .when(configuration: .release)),
      ]
    ),
    module("Jail", in: "Host", ["Logging", "Processes"]),
    tests("JailTests", ["Jail", "Logging", "Processes", "TestSupport", "plugin-x", "rostrum-jail"]),

    // MARK: Plugin host
    module("PluginManifest", in: "Host", ["JSONDocument"]),
    module(
      "Egress",
      in: "Host",
      ["Cryptography", "HTTPClient", "JSONDocument", "JSONText", "Logging", "PluginManifest"]
    ),
    module(
      "PluginHost",
      in: "Host",
      ["JSONText", "Logging", "PluginManifest", "PluginProtocol", "PluginTransport", "Processes", "ServiceTree"]
    ),
    module(
      "PluginStore",
      in: "Host",
      [
        "Audit", "Cryptography", "JSONDocument", "JSONText", "PluginManifest", "PluginProtocol", "Postgres",
        "Processes",
      ]
    ),
    tests("PluginManifestTests", ["FuzzSupport", "JSONDocument", "PluginManifest"]),
    tests(
      "PluginStoreTests",
      [
        "Cryptography", "JSONDocument", "Logging", "PluginManifest", "PluginStore", "Postgres", "Processes",
        "TestSupport",
      ]
    ),
    tests("EgressTests", ["Cryptography", "Egress", "HTTPClient", "JSONDocument", "JSONText", "PluginManifest"]),
    tests(
      "PluginHostTests",
      [
        "FuzzSupport", "JSONText", "Logging", "PluginHost", "PluginManifest", "PluginProtocol", "PluginTransport",
        "Processes", "ServiceTree",
      ]
    ),

    // MARK: Domain
    module("AuditChain", in: "Host", ["Audit", "Cryptography", "JSONDocument", "Logging", "Postgres", "Vault"]),
    module("Events", in: "Host", ["HTTPServer", "Logging", "Postgres", "ServiceTree"]),
    module("Identity", in: "Host", ["Cryptography", "JSONDocument", "Logging", "Postgres", "Vault"]),
    module(
      "OAuth",
      in: "Host",
      ["Cryptography", "Egress", "HTTPClient", "JSONDocument", "PluginManifest", "Postgres", "Vault"]
    ),
    module("MediaStore", in: "Host", ["Cryptography", "Logging", "Postgres"]),
    module(
      "Publishing",
      in: "Host",
      [
        "Audit", "Cryptography", "Egress", "HTTPClient", "JSONDocument", "JSONText", "JobQueue", "Logging",
        "MediaStore", "OAuth", "PluginHost", "PluginManifest", "PluginProtocol", "PluginTransport", "Postgres",
        "ServiceTree",
        "Vault",
      ]
    ),
    module(
      "Connecting",
      in: "Host",
      [
        "Audit", "Cryptography", "Egress", "HTTPClient", "JSONDocument", "Logging", "OAuth", "PluginHost",
        "PluginManifest", "Postgres", "Publishing", "Vault",
      ]
    ),
    module("Sites", in: "Host", ["JSONDocument", "Logging", "Postgres"]),
    module("Vault", in: "Host", ["Audit", "Cryptography", "JSONDocument", "Logging", "Postgres"]),
    module(
      "WebhookEndpoints",
      in: "Host",
      [
        "Cryptography", "Egress", "HTTPClient", "JSONDocument", "JobQueue", "Logging", "Outbox", "Postgres", "Vault",
      ]
    ),
    module(
      "Notices",
      in: "Host",
      [
        "Cryptography", "HTTPClient", "JSONDocument", "JobQueue", "Logging", "Outbox", "Postgres",
      ]
    ),
    tests(
      "AuditChainTests",
      ["Audit", "AuditChain", "Cryptography", "JSONDocument", "Logging", "Postgres", "TestSupport", "Vault"]
    ),
    tests("EventsTests", ["Events", "HTTPServer", "Logging", "Postgres", "ServiceTree", "TestSupport"]),
    tests("IdentityTests", ["Cryptography", "Identity", "JSONDocument", "Postgres", "TestSupport", "Vault"]),
    tests(
      "OAuthTests",
      ["Cryptography", "JSONDocument", "OAuth", "PluginManifest", "Postgres", "TestSupport", "Vault"]
    ),
    tests("MediaStoreTests", ["Cryptography", "MediaStore", "Postgres", "TestSupport"]),
    tests(
      "PublishingTests",
      [
        "Audit", "Cryptography", "Egress", "HTTPClient", "HTTPServer", "JSONText", "JobQueue", "Logging",
        "MediaStore", "OAuth", "PluginHost", "PluginManifest", "PluginProtocol", "Postgres", "Processes", "Publishing",
        "ServiceTree", "TestSupport", "Vault",
      ]
    ),
    tests("SitesTests", ["Postgres", "Sites", "TestSupport"]),
    tests("VaultTests", ["Cryptography", "JSONDocument", "Postgres", "TestSupport", "Vault"]),
    tests(
      "WebhookEndpointsTests",
      [
        "Cryptography", "Egress", "HTTPClient", "JSONDocument", "JobQueue", "Logging", "Outbox", "Postgres",
        "ServiceTree", "TestSupport", "Vault", "WebhookEndpoints",
      ]
    ),
    tests(
      "NoticesTests",
      ["HTTPClient", "JobQueue", "Logging", "Notices", "Outbox", "Postgres", "ServiceTree", "TestSupport"]
    ),

    // MARK: Interfaces
    module(
      "AdminAPI",
      in: "Host",
      [
        "Audit", "AuditChain", "Connecting", "Cryptography", "Events", "HTTPServer", "Identity", "JSONDocument",
        "JSONText", "JobQueue", "Logging", "MediaStore", "Notices", "OAuth", "PluginHost", "PluginManifest",
        "PluginStore", "Postgres", "Publishing", "Sites",
        "Vault", "WebhookEndpoints",
      ]
    ),
    module(
      "Server",
      in: "Host",
      [
        "AdminAPI", "Audit", "AuditChain", "Connecting", "Cryptography", "Egress", "Events", "HTTPClient",
        "HTTPServer", "Identity", "JSONDocument", "JSONText", "Jail", "JobQueue", "Logging", "MediaStore",
        "Migrations", "Notices", "OAuth", "Outbox", "PluginHost", "PluginManifest",
        "PluginProtocol", "PluginStore", "Postgres", "Processes", "Publishing", "ServiceTree", "Sites", "Vault",
        "WebhookEndpoints",
      ]
    ),
    executable(
      "rostrum",
      at: "Host/rostrum",
      [
        "Audit", "AuditChain", "Cryptography", "HTTPClient", "Identity", "JSONDocument", "JSONText", "Jail", "Logging",
        "Migrations", "Notices", "PluginHost", "PluginManifest", "PluginStore", "PluginTestKit", "Postgres",
        "Processes", "Publishing", "Server",
        "ServiceTree", "Sites", "Vault", "WebhookEndpoints",
      ]
    ),

    tests(
      "AdminAPITests",
      [
        "AdminAPI", "Audit", "Connecting", "Cryptography", "Egress", "Events", "FuzzSupport", "HTTPClient",
        "HTTPServer", "Identity", "JSONDocument", "JSONText", "JobQueue", "Logging", "MediaStore", "Notices", "OAuth",
        "PluginHost", "PluginManifest", "PluginStore", "Postgres", "Processes", "Publishing", "ServiceTree", "Sites",
        "TestSupport", "Vault", "WebhookEndpoints",
      ]
    ),

    tests(
      "ServerTests",
      [
        "Audit", "AuditChain", "Cryptography", "Egress", "HTTPClient", "JSONDocument", "Jail", "Logging", "MediaStore",
        "PluginHost",
        "PluginManifest", "PluginStore", "Postgres", "Processes", "Publishing", "Server", "ServiceTree", "TestSupport",
        "Vault", "rostrum", "rostrum-jail",
      ]
    ),

    // MARK: Whole system
    tests("ArchitectureTests", []),
    .executableTarget(
      name: "rostrum-bench",
      dependencies: [
        "Cryptography", "Egress", "HTTPClient", "JSONDocument", "JSONText", "Jail", "JobQueue", "Logging", "Migrations",
        "OAuth", "PluginHost", "PluginManifest",
        "Postgres", "Processes", "Publishing", "ServiceTree", "Vault",
      ],
      path: "Tests/Benchmarks",
      exclude: ["Driver", "Peers"],
      swiftSettings: settings
    ),
    .target(
      name: "FuzzSupport",
      dependencies: ["JSONDocument"],
      path: "Tests/Fuzzing",
      swiftSettings: settings
    ),
    .target(
      name: "TestSupport",
      dependencies: ["Cryptography", "Logging", "Migrations", "Postgres", "Processes", "ServiceTree"],
      path: "Tests/Support",
      exclude: ["Python", "Vectors"],
      swiftSettings: settings
    ),
  ]
)
