/// A part of the program that runs until it is stopped.
///
/// `run` returns when `Shutdown.current` was requested and everything it started has ended. When it returns or throws
/// earlier, its group stops. A cancelled task means that the time for a graceful stop is over.
package protocol Service: Sendable {
  /// A short name for the log.
  var name: String { get }

  /// Whether the next service waits until this one called `Startup.current.finish()`.
  var signalsStartup: Bool { get }

  func run() async throws
}

extension Service {
  package var signalsStartup: Bool { false }
}

/// A service made of a closure.
package struct ClosureService: Service {
  package let name: String
  package let signalsStartup: Bool
  private let body: @Sendable () async throws -> Void

  package init(name: String, signalsStartup: Bool = false, _ body: @escaping @Sendable () async throws -> Void) {
    self.name = name
    self.signalsStartup = signalsStartup
    self.body = body
  }

  package func run() async throws {
    try await body()
  }
}
