package import Logging

/// Runs services together: starts them in order, stops them in reverse order.
///
/// A service that returns or throws stops the whole group; the first error is thrown by `run` after everything ended.
/// A group is a service itself.
package struct ServiceGroup: Service {
  package let name: String
  private let services: [any Service]
  private let shutdownDeadline: Duration
  private let logger: Logger
  private let clock: any Clock<Duration>

  /// - Parameter shutdownDeadline: How long the services together may take to end before their tasks are cancelled.
  package init(
    name: String = "services",
    services: [any Service],
    shutdownDeadline: Duration = .seconds(30),
    logger: Logger,
    clock: any Clock<Duration> = ContinuousClock()
  ) {
    self.name = name
    self.services = services
    self.shutdownDeadline = shutdownDeadline
    self.logger = logger
    self.clock = clock
  }

  private enum Outcome: Sendable {
    case event(ServiceGroupMachine.Event)
    case ended(Int, (any Error)?)
    case nothing
  }

  package func run() async throws {
    let outer = Shutdown.current
    let shutdowns = services.map { _ in Shutdown() }
    var machine = ServiceGroupMachine(waitsForStartup: services.map(\.signalsStartup))
    var firstError: (any Error)?

    await withTaskGroup(of: Outcome.self) { group in
      group.addTask {
        await outer.requested()
        return .event(.shutdownRequested)
      }
      var actions = machine.handle(.begin)
      while true {
        for action in actions {
          switch action {
          case .start(let index):
            start(index, shutdown: shutdowns[index], in: &group)
          case .stop(let index):
            logger.debug("Stopping service", ["service": services[index].name])
            shutdowns[index].request()
          case .startDeadline:
            startDeadline(in: &group)
          case .cancelAll:
            let names = machine.running.sorted().map { services[$0].name }.joined(separator: " ")
            logger.error("Services missed the shutdown deadline and are cancelled", ["services": names])
            group.cancelAll()
          case .finish:
            group.cancelAll()
            return
          }
        }
        actions = []
        switch await group.next() {
        case .event(let event):
          actions = machine.handle(event)
        case .ended(let index, let error):
          report(index, error: error, requested: shutdowns[index].isRequested)
          if let error, firstError == nil, !(error is CancellationError && shutdowns[index].isRequested) {
            firstError = error
          }
          actions = machine.handle(.ended(index))
        case .nothing, nil:
          break
        }
      }
    }
    if let firstError { throw firstError }
  }

  private func start(_ index: Int, shutdown: Shutdown, in group: inout TaskGroup<Outcome>) {
    let service = services[index]
    let logger = logger.with(["service": service.name])
    let startup = Startup()
    logger.debug("Starting service")
    group.addTask {
      let error = await ServiceGroup.run(service, shutdown: shutdown, startup: startup, logger: logger)
      return .ended(index, error)
    }
    if service.signalsStartup {
      group.addTask {
        await startup.finished()
        return Task.isCancelled ? .nothing : .event(.started(index))
      }
    }
  }

  private static func run(
    _ service: any Service,
    shutdown: Shutdown,
    startup: Startup,
    logger: Logger
  ) async -> (any Error)? {
    do {
      try await Shutdown.$current.withValue(shutdown) {
        try await Startup.$current.withValue(startup) {
          try await Logger.$current.withValue(logger) {
            try await service.run()
          }
        }
      }
      return nil
    } catch {
      return error
    }
  }

  private func startDeadline(in group: inout TaskGroup<Outcome>) {
    let clock = clock
    let deadline = shutdownDeadline
    group.addTask {
      do {
        try await clock.sleep(for: deadline)
        return .event(.deadlinePassed)
      } catch {
        return .nothing
      }
    }
  }

  private func report(_ index: Int, error: (any Error)?, requested: Bool) {
    let name = services[index].name
    if let error, !(error is CancellationError && requested) {
      logger.error("Service failed", ["service": name, "error": .error(error)])
    } else if requested {
      logger.debug("Service stopped", ["service": name])
    } else {
      logger.notice("Service ended and stops its group", ["service": name])
    }
  }
}
