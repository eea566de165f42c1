internal import Dispatch

/// Runs work that blocks on the disk away from the threads of tasks.
package enum Disk {
  private static let queue = DispatchQueue(label: "plugin-store", attributes: .concurrent)

  package static func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { continuation.resume(with: Result { try body() }) }
    }
  }
}

/// A moment of an installation at which a power cut would be of interest; for tests.
package enum InstallStep: String, Sendable, CaseIterable {
  case bundleVerified
  case bundleStored
  case generationWritten
  case generationCurrent

  /// Called at each step; a test looks at the world from outside in it.
  @TaskLocal package static var observer: (@Sendable (InstallStep) async throws -> Void)?

  func reached() async throws { try await Self.observer?(self) }
}
