import FoundationEssentials
import HTTPClient
import JSONDocument
import OAuth
import PluginManifest

/// What a platform's answer to a revocation means.
enum RevocationAnswer: Sendable, Equatable {
  /// The credentials are not good any more.
  case ended
  /// Asking again would bring the same answer.
  case refused(String)
  case later(String)

  /// Asks.
  init(
    _ endpoint: TokenEndpoint,
    _ request: OAuthRequest,
    _ values: OAuthValues,
    dead: [OAuthAnswerTest]
  ) async throws {
    do throws(OAuthError) {
      switch try await endpoint.answer(request, values) {
      case .response(let response):
        self.init(
          status: response.status,
          body: response.body,
          isWithToken: request.authentication == .bearer,
          shape: request.answer,
          dead: dead
        )
      case .notSent(let reason): self = .later(reason.detail)
      // Ending twice ends once.
      case .unknown(let reason): self = .later(reason.detail)
      }
    } catch {
      self = .refused("\(error)")
    }
  }

  /// - Parameter isWithToken: Whether the request proves itself with the very token that it ends.
  init(status: Int, body: [UInt8], isWithToken: Bool, shape: OAuthAnswerShape, dead: [OAuthAnswerTest]) {
    let words = "The platform answered \(status)"
    switch TokenAnswer.read(status: status, body: body, shape: shape, dead: dead) {
    case .refused(let refusal) where refusal.kind == .dead: self = .ended
    case .refused where isWithToken && status == 401: self = .ended
    case .refused(let refusal):
      if case .later = refusal.kind {
        self = .later(words)
      } else {
        self = .refused(words + (refusal.code.map { " (\($0))" } ?? ""))
      }
    case .granted: self = .ended
    case .ambiguous, .notSent: self = (200..<300).contains(status) ? .ended : .later(words)
    }
  }
}
