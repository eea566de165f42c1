extension Configuration {
  /// Environment variables by which PostgreSQL's own programs reach the same database. They hold the password, which an
  /// argument would show to every user of the machine.
  package var toolEnvironment: [String: String] {
    var options: [String: String] = [:]
    for (name, value) in connectionKeywords {
      if name == "dbname", value.contains("://") || value.contains("="), let parsed = Configuration.parse(value) {
        options.merge(parsed) { $1 }
      } else {
        options[name] = value
      }
    }
    var environment: [String: String] = [:]
    for (name, value) in options where !value.isEmpty {
      if let variable = Self.variables[name] { environment[variable] = value }
    }
    return environment
  }

  private static let variables = [
    "host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER",
    "password": "PGPASSWORD", "passfile": "PGPASSFILE", "sslmode": "PGSSLMODE", "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY", "sslrootcert": "PGSSLROOTCERT", "options": "PGOPTIONS",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "target_session_attrs": "PGTARGETSESSIONATTRS", "channel_binding": "PGCHANNELBINDING",
    "krbsrvname": "PGKRBSRVNAME", "gssencmode": "PGGSSENCMODE", "service": "PGSERVICE",
    "client_encoding": "PGCLIENTENCODING",
  ]
}
