import Logging
import Server

/// `rostrum serve`
enum ServeCommand {
  static let command = Command(words: ["serve"], summary: "Run the host until SIGTERM or Ctrl-C") { invocation in
    let configuration = try invocation.configuration()
    let logger = Logger(sink: invocation.sink, minimumLevel: configuration.logLevel)
    try await Logger.$current.withValue(logger) {
      try await Host.serve(configuration, logger: logger)
    }
    logger.notice("Rostrum has stopped")
    return .success
  }
}
