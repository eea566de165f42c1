internal import CPostgres
internal import Glibc

/// Says how to reach a database; never shows the password.
package struct Configuration: Sendable {
  /// What libpq is given, in its order: later entries win over earlier ones.
  private var keywords: [(name: String, value: String)]
  /// Where the server is, without the password.
  package private(set) var place: String
  /// Whether the server is on this machine: a unix socket or a loopback address.
  package private(set) var isLocal: Bool
  private var password: String?
  /// The longest time for opening a connection.
  private(set) var connectTimeout = Duration.seconds(10)

  /// The name of the database, or nil when libpq's defaults decide it.
  package private(set) var databaseName: String?

  /// Session settings made right after connecting, such as `jit` = `off`.
  package var settings: [String: String] = [:]
  /// A statement that runs longer is cancelled by the server; nil leaves it to the server's configuration.
  package var statementTimeout: Duration?
  /// Prepared statements kept by each session; 0 turns them off, as a transaction-mode pooler needs.
  package var preparedStatements = 256
  /// The name shown in `pg_stat_activity`.
  package var applicationName = "rostrum"

  /// Reads a connection string, either a `postgres://` URL or `key=value` pairs.
  ///
  /// - Throws: `PostgresError` with the code `configuration`; its text never quotes the string.
  package init(url: String) throws(PostgresError) {
    guard !url.utf8.contains(0), let options = Configuration.parse(url) else {
      throw PostgresError(.configuration, "The connection string cannot be read")
    }
    keywords = [("dbname", url)]
    password = options["password"]
    databaseName = options["dbname"]
    if let seconds = options["connect_timeout"].flatMap(Int64.init), seconds > 0 {
      connectTimeout = .seconds(seconds)
    }
    let host = options["hostaddr"] ?? options["host"] ?? ""
    let hosts = host.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    isLocal = hosts.allSatisfy(Configuration.isLocal(host:))
    place = Configuration.place(
      host: host.isEmpty ? "the default socket" : host,
      port: options["port"],
      database: options["dbname"]
    )
  }

  /// Reaches a server over the unix socket in a directory.
  package init(socketDirectory: String, port: Int = 5432, database: String, user: String) {
    keywords = [
      ("dbname", database), ("host", socketDirectory), ("port", String(port)), ("user", user),
    ]
    isLocal = true
    databaseName = database
    place = Configuration.place(host: socketDirectory, port: String(port), database: database)
  }

  /// The same server with another database.
  package func with(database: String) -> Configuration {
    var copy = self
    // libpq expands only the first `dbname`; a later one is a plain name and wins.
    copy.keywords.append(("dbname", database))
    copy.databaseName = database
    copy.place = "database \(database) on the server of \(place)"
    return copy
  }

  /// The same database with settings for statements that are prepared once and run for ever on large tables.
  package var forWorkers: Configuration {
    var copy = self
    copy.settings.merge(
      [
        "plan_cache_mode": "force_generic_plan",
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "jit": "off",
      ],
      uniquingKeysWith: { own, _ in own }
    )
    return copy
  }

  /// The keywords for `PQconnectdbParams`, with defaults that the connection string can override.
  var connectionKeywords: [(name: String, value: String)] {
    [
      ("fallback_application_name", applicationName),
      // A peer that vanished without a word is noticed within about a minute.
      ("keepalives_idle", "20"),
      ("keepalives_interval", "10"),
      ("keepalives_count", "3"),
      ("tcp_user_timeout", "30000"),
    ] + keywords + [("client_encoding", "UTF8")]
  }

  /// The statements that make the session settings, or nil when there are none.
  var settingsScript: String? {
    var pairs = settings.sorted { $0.key < $1.key }
    if let statementTimeout {
      pairs.append(("statement_timeout", String(max(1, statementTimeout.wholeMilliseconds))))
    }
    guard !pairs.isEmpty else { return nil }
    return pairs.map { "SET \(Configuration.quote($0.key, "\"")) TO \(Configuration.quote($0.value, "'"))" }
      .joined(separator: ";")
  }

  /// Takes the password out of a text that libpq made.
  package func redacted(_ text: String) -> String {
    guard let password, !password.isEmpty else { return text }
    return text.replacing(password, with: "[secret]")
  }

  private static func quote(_ text: String, _ mark: String) -> String {
    mark + text.replacing(mark, with: mark + mark) + mark
  }

  private static func place(host: String, port: String?, database: String?) -> String {
    var place = host
    if let port, !port.isEmpty { place += ", port \(port)" }
    if let database, !database.isEmpty { place += ", database \(database)" }
    return place
  }

  private static func isLocal(host: String) -> Bool {
    if host.isEmpty {
      // libpq then takes the host from the environment.
      guard let fromEnvironment = unsafe getenv("PGHOST") else { return true }
      let name = unsafe String(cString: fromEnvironment)
      return name.isEmpty || isLocal(host: name)
    }
    return host.hasPrefix("/") || host.hasPrefix("@") || host == "localhost" || host == "::1" || host.hasPrefix("127.")
  }

  static func parse(_ text: String) -> [String: String]? {
    guard let options = unsafe PQconninfoParse(text, nil) else { return nil }
    defer { unsafe PQconninfoFree(options) }
    var values: [String: String] = [:]
    var option = unsafe options
    while let keyword = unsafe option.pointee.keyword {
      if let value = unsafe option.pointee.val {
        values[unsafe String(cString: keyword)] = unsafe String(cString: value)
      }
      unsafe option += 1
    }
    return values
  }
}

extension Configuration: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  package var description: String { "PostgreSQL at \(place)" }
  package var debugDescription: String { description }
  package var customMirror: Mirror { Mirror(self, children: ["place": place]) }
}

extension Duration {
  /// Whole milliseconds, rounded down, kept inside the range of `Int64`.
  var wholeMilliseconds: Int64 {
    let (seconds, attoseconds) = components
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000)
    guard !overflow else { return seconds < 0 ? .min : .max }
    let (sum, carried) = product.addingReportingOverflow(attoseconds / 1_000_000_000_000_000)
    return carried ? (seconds < 0 ? .min : .max) : sum
  }
}
