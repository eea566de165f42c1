/// The wish that a service ends, which reaches it through `Shutdown.current`.
package struct Shutdown: Sendable {
  /// The shutdown of the running task's service; outside a group it is never requested.
  @TaskLocal package static var current = Shutdown()

  private let signal = Signal()

  package init() {}

  package var isRequested: Bool { signal.isRaised }

  /// Asks the services that run under this shutdown to end.
  package func request() {
    signal.raise()
  }

  /// Returns when the shutdown was requested or the task is cancelled.
  package func requested() async {
    await signal.wait()
  }

  /// Waits for the duration or for the request, whichever comes first.
  ///
  /// - Returns: Whether the work should go on: false once the shutdown was requested or the task is cancelled.
  package func sleep(for duration: Duration, clock: any Clock<Duration> = ContinuousClock()) async -> Bool {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.requested() }
      group.addTask {
        // A sleep ends early only by cancellation, which the result below reports.
        try? await clock.sleep(for: duration)
      }
      await group.next()
      group.cancelAll()
    }
    return !isRequested && !Task.isCancelled
  }

  /// Runs the body in a child task that is cancelled as soon as the shutdown is requested.
  package func cancelling<Value: Sendable>(
    _ body: @escaping @Sendable () async throws -> Value
  ) async throws -> Value {
    try await withThrowingTaskGroup(of: Value?.self) { group in
      group.addTask { try await body() }
      group.addTask {
        await self.requested()
        return nil
      }
      defer { group.cancelAll() }
      while let result = try await group.next() {
        if let result { return result }
        group.cancelAll()
      }
      throw CancellationError()
    }
  }
}

/// The news that a service has started, which reaches it through `Startup.current`.
package struct Startup: Sendable {
  /// The startup of the running task's service.
  @TaskLocal package static var current = Startup()

  private let signal = Signal()

  package init() {}

  /// Lets the next service start. Calling it again does nothing.
  package func finish() {
    signal.raise()
  }

  /// Returns when the service has started or the task is cancelled.
  package func finished() async {
    await signal.wait()
  }
}
