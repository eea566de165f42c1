package import Logging

/// An HTTP/1.1 server; plain, for use behind a reverse proxy or on a trusted network.
///
/// Every request is handled by a task of its own; sockets are served by one thread of the library.
package struct HTTPServer: Sendable {
  private let configuration: HTTPServerConfiguration
  private let router: Router
  private let logger: Logger

  package init(_ configuration: HTTPServerConfiguration, router: Router, logger: Logger = .current) {
    self.configuration = configuration
    self.router = router
    self.logger = logger
  }

  /// Serves until `stopped` returns, then stops gracefully: nothing new is accepted, requests in flight may finish
  /// within the configured deadline, event streams end at once, and what is left is answered with 503.
  ///
  /// - Parameters:
  ///   - started: Called with the port once clients can connect.
  ///   - stopped: Returns when the server shall stop, which includes that its task was canceled.
  /// - Throws: ``HTTPServerError`` when the address cannot be listened on.
  package func run(
    started: @Sendable (_ port: UInt16) async -> Void = { _ in },
    until stopped: @Sendable () async -> Void
  ) async throws {
    let socket = try ListenSocket.open(host: configuration.host, port: configuration.port)
    let core = ServerCore(configuration, router: router, logger: logger)
    let daemon = try Daemon(core, socket)
    logger.info("The HTTP server listens", ["port": .int(socket.port)])
    let sweepInterval = configuration.sweepInterval
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        while !Task.isCancelled {
          core.sweep()
          // The only error is the end of this task.
          try? await Task.sleep(for: sweepInterval)
        }
      }
      await started(socket.port)
      await stopped()
      // Stopping must go its way even if this task was canceled, so it has a task of its own, awaited at once.
      await Task { await self.stop(daemon, core) }.value
      group.cancelAll()
    }
  }

  private func stop(_ daemon: Daemon, _ core: ServerCore) async {
    daemon.quiesce()
    core.beginStop()
    await core.waitUntilDrained(configuration.stopDeadline)
    core.giveUp()
    // Time for the last refusals to leave; on a busy machine that is not at once.
    await core.waitUntilDrained(.seconds(5))
    await daemon.stop()
    logger.info("The HTTP server has stopped")
  }
}
