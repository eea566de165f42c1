/// The configuration files of the private server.
struct ClusterConfiguration: Hashable, Sendable {
  let socketDirectory: String
  let isDurable: Bool

  /// Operators put their own settings into `local.conf` beside it, which is never overwritten.
  var server: String {
    var settings = [
      ("listen_addresses", "''"),
      ("unix_socket_directories", "'\(socketDirectory)'"),
      ("unix_socket_permissions", "0700"),
      ("port", "5432"),
      // Without durability it serves tests, hundreds of which have connections at the same time.
      ("max_connections", isDurable ? "100" : "500"),
      ("shared_buffers", "128MB"),
      // New log segments are filled with zeros while commits wait; these many used ones are kept to be used again.
      ("min_wal_size", "256MB"),
      ("max_wal_size", "2GB"),
      ("dynamic_shared_memory_type", "posix"),
      ("fsync", isDurable ? "on" : "off"),
      ("synchronous_commit", isDurable ? "on" : "off"),
      ("full_page_writes", isDurable ? "on" : "off"),
      ("log_destination", "'stderr'"),
      ("logging_collector", "off"),
      ("log_line_prefix", "''"),
      // Statements may carry values; the host reports its own failures without them.
      ("log_min_error_statement", "panic"),
      ("log_error_verbosity", "terse"),
      ("log_checkpoints", "off"),
      ("lc_messages", "'C'"),
      ("timezone", "'UTC'"),
      ("log_timezone", "'UTC'"),
    ]
    if !isDurable {
      settings.append(("autovacuum", "off"))
    }
    let lines = settings.map { "\($0.0) = \($0.1)" }
    return """
      # Written at every start. Put settings of your own into local.conf in this folder.
      \(lines.joined(separator: "\n"))
      include_if_exists = 'local.conf'

      """
  }

  /// Whoever can enter the socket's folder may connect: the owner and root.
  let access = """
    # Written at every start.
    local all all trust

    """
}
