package import Cryptography
internal import Dispatch
internal import Synchronization

/// Hashes and checks passwords away from the cooperative threads, a few at a time: one takes 128 MiB and much of a core.
package final class PasswordHasher: Sendable {
  /// How many run at once; more are refused, because a queue of them would only make everybody wait.
  package static let limit = 2

  package let parameters: Scrypt.Parameters
  /// Stands in for users who do not exist, so that they cost the same.
  private let nobody: PasswordHash
  private let running = Mutex(0)
  private let queue = DispatchQueue(label: "passwords", attributes: .concurrent)

  package init(parameters: Scrypt.Parameters = .interactive) {
    self.parameters = parameters
    nobody = PasswordHash(matchingNothing: parameters)
  }

  /// - Throws: ``SignInError/busy`` when too many run.
  package func hash(_ password: Secret) async throws -> PasswordHash {
    let parameters = parameters
    return try await run { () throws(CryptographyError) in try PasswordHash(password, parameters: parameters) }
  }

  /// Checks a password; nil stands for a user who has none, who never matches and costs the same.
  ///
  /// - Throws: ``SignInError/busy`` when too many run.
  package func matches(_ password: Secret, _ stored: PasswordHash?) async throws -> Bool {
    let compared = stored ?? nobody
    let isRight = try await run { () throws(CryptographyError) in try compared.matches(password) }
    return isRight && stored != nil
  }

  private func run<Value: Sendable>(
    _ work: @escaping @Sendable () throws(CryptographyError) -> Value
  ) async throws -> Value {
    try enter()
    defer { running.withLock { $0 -= 1 } }
    return try await withCheckedThrowingContinuation { continuation in
      queue.async {
        do throws(CryptographyError) {
          continuation.resume(returning: try work())
        } catch {
          continuation.resume(throwing: error)
        }
      }
    }
  }

  private func enter() throws(SignInError) {
    let isFree = running.withLock { running in
      guard running < Self.limit else { return false }
      running += 1
      return true
    }
    guard isFree else { throw .busy }
  }
}
