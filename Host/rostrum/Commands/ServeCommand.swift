import Cryptography
import Identity
import Logging
import Postgres
import Server

/// `rostrum serve`
enum ServeCommand {
  static let command = Command(words: ["serve"], summary: "Run the host until SIGTERM or Ctrl-C") { invocation in
    let configuration = try invocation.configuration()
    let logger = Logger(sink: invocation.sink, minimumLevel: configuration.logLevel)
    try await Logger.$current.withValue(logger) {
      try await Host.serve(configuration, logger: logger) { host in
        await orLog("Making the link for the first user", logger) {
          try await welcome(host, configuration, invocation.terminal)
        }
      }
    }
    logger.notice("Rostrum has stopped")
    return .success
  }

  /// Shows the way in while there is nobody yet. The secret stands in this line alone, never in the log.
  private static func welcome(
    _ host: RunningHost,
    _ configuration: HostConfiguration,
    _ terminal: Terminal
  ) async throws {
    guard try await SignInLink.needsFirstUser(host.pool) else { return }
    let secret = try await host.pool.transaction { tx in try await SignInLink.make(.firstUser, in: tx) }
    let link = configuration.signInLink(secret.revealText() ?? "", url: host.url)
    terminal.print("There is no user yet. Open this within 72 hours to become the first one; it works once: \(link)")
  }
}
