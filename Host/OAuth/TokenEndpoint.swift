package import Egress
package import HTTPClient
import JSONDocument
package import PluginManifest

/// Sends the requests of a manifest's `oauth` member. Redirects are not followed, nothing is sent twice, and no value of
/// a request or an answer is part of a message.
package struct TokenEndpoint: Sendable {
  private let client: HTTPClient
  private let policy: AddressPolicy

  package static let timeout: Duration = .seconds(15)
  private static let connectTimeout: Duration = .seconds(5)
  private static let maximumBytes = 64 << 10

  package init(client: HTTPClient, policy: AddressPolicy) {
    self.client = client
    self.policy = policy
  }

  /// Asks for tokens.
  ///
  /// - Parameter beforeFirstByte: The last check; the request is not sent when it says no.
  package func tokens(
    _ request: OAuthRequest,
    _ values: OAuthValues,
    dead: [OAuthAnswerTest],
    beforeFirstByte: @escaping @Sendable () -> Bool = { true }
  ) async throws(OAuthError) -> TokenOutcome {
    switch try await answer(request, values, beforeFirstByte: beforeFirstByte) {
    case .response(let response):
      if response.truncated { return .ambiguous("an answer of more than \(Self.maximumBytes) bytes") }
      return TokenAnswer.read(
        status: response.status,
        body: response.body,
        retryAfter: response.headers["retry-after"].flatMap { Int64($0) }.map { .seconds(min(max($0, 0), 86_400)) },
        shape: request.answer,
        dead: dead
      )
    case .notSent(let reason): return .notSent(reason.detail)
    case .unknown(let reason): return .ambiguous(reason.detail)
    }
  }

  /// Runs the exchange of a code: one request after the other, each with the token of the one before.
  package func exchange(_ declaration: OAuthDeclaration, _ values: OAuthValues) async throws(OAuthError) -> TokenOutcome
  {
    var values = values
    var whole: TokenGrant?
    for request in declaration.exchange {
      let outcome = try await tokens(request, values, dead: declaration.dead)
      guard case .granted(let grant) = outcome else { return outcome }
      whole = whole?.followed(by: grant) ?? grant
      values.token = grant.accessToken
    }
    return whole.map { .granted($0) } ?? .ambiguous("there is nothing to exchange a code with")
  }

  /// Sends a request and returns what came, whatever its status.
  package func answer(
    _ request: OAuthRequest,
    _ values: OAuthValues,
    adding extra: [(String, String)] = [],
    maximumBytes: Int = maximumBytes,
    beforeFirstByte: @escaping @Sendable () -> Bool = { true }
  ) async throws(OAuthError) -> Outcome {
    let rendered = try RenderedRequest(request, values, adding: extra)
    let url: TargetURL
    do {
      url = try TargetURL(rendered.address, maximumBytes: 16_384)
    } catch {
      return .notSent(Outcome.NotSent(reason: .invalidRequest, detail: "the address \(error)"))
    }
    let (target, policy) = (policy.resolved(url), policy)
    if let objection = policy.objection(to: target) {
      return .notSent(Outcome.NotSent(reason: .addressDenied, detail: objection))
    }
    return await client.perform(
      OutgoingRequest(
        method: rendered.method,
        url: target.description,
        headers: rendered.headers,
        body: rendered.form.map { .bytes(Array($0.utf8)) } ?? .none,
        timeout: Self.timeout,
        connectTimeout: Self.connectTimeout,
        maximumResponseBytes: maximumBytes,
        addressPolicy: { socket in
          guard let address = IPAddress(bytes: socket.bytes) else { return false }
          return policy.permits(address, port: Int(socket.port), for: target)
        },
        beforeFirstByte: beforeFirstByte
      )
    )
  }
}
