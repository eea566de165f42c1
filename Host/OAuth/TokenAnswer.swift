import Cryptography
import JSONDocument
package import PluginManifest

/// Reads the answers of token endpoints. They come in many shapes, and failures sometimes with status 200.
package enum TokenAnswer {
  /// What an answer means.
  ///
  /// - Parameters:
  ///   - retryAfter: what the answer's header of that name says.
  ///   - dead: the manifest's tests for dead credentials.
  package static func read(
    status: Int,
    body: [UInt8],
    retryAfter: Duration? = nil,
    shape: OAuthAnswerShape,
    dead: [OAuthAnswerTest]
  ) -> TokenOutcome {
    let document = try? JSONValue.parse(body, maximumDepth: 12, maximumBytes: 64 << 10)  // what it means is said below
    let code = document.flatMap(errorCode)
    if let document, dead.contains(where: { $0.holds(status: status, document) }) {
      return .refused(TokenRefusal(kind: .dead, code: code, status: status))
    }
    // Tokens count only where nothing says that something went wrong.
    if let document, (200...299).contains(status), code == nil, let grant = grant(document, shape) {
      // A token of another type needs more than the token itself with each request (RFC 6749 §7.1).
      guard document.pointer("/token_type")?.stringValue.map({ $0.lowercased() == "bearer" }) ?? true else {
        return .refused(TokenRefusal(kind: .other, code: "token_type", status: status))
      }
      return .granted(grant)
    }
    if status == 429 { return .refused(TokenRefusal(kind: .later(retryAfter), code: code, status: status)) }
    if let code, document != nil, status < 500 {
      return .refused(TokenRefusal(kind: kind(code, retryAfter), code: code, status: status))
    }
    if (400...499).contains(status) { return .refused(TokenRefusal(kind: .other, code: code, status: status)) }
    return .ambiguous("an answer of status \(status) without a token")
  }

  /// The platform's word for a failure: `error` as text or as an object, `error_type`, each plain and short.
  private static func errorCode(_ document: JSONValue) -> String? {
    let candidates = ["/error", "/error/code", "/error/type", "/error_type", "/error_code"].map { document.pointer($0) }
    for candidate in candidates {
      switch candidate {
      case .string(let text) where text == "ok" || text.isEmpty: continue
      case .string(let text): return text.count <= 60 && text.utf8.allSatisfy { $0 > 32 && $0 < 127 } ? text : "unknown"
      case .int(let number): return "\(number)"
      default: continue
      }
    }
    if case .object = document.pointer("/error"), document.pointer("/error/code")?.stringValue != "ok" {
      return "unknown"
    }
    return nil
  }

  private static func kind(_ code: String, _ retryAfter: Duration?) -> TokenRefusal.Kind {
    switch code {
    case "invalid_grant": .dead
    case "invalid_client", "unauthorized_client", "unsupported_grant_type": .application
    case "temporarily_unavailable", "server_error", "slow_down": .later(retryAfter)
    default: .other
    }
  }

  private static func grant(_ document: JSONValue, _ shape: OAuthAnswerShape) -> TokenGrant? {
    func first(_ pointers: [String]) -> JSONValue? {
      pointers.lazy.compactMap { document.pointer($0) }.first { !$0.isNull }
    }
    func text(_ pointers: [String]) -> Secret? {
      // An empty text never stands for a token.
      first(pointers)?.stringValue.flatMap { $0.isEmpty || $0.utf8.count > 8_192 ? nil : Secret($0) }
    }
    guard let token = text(shape.accessToken) else { return nil }
    return TokenGrant(
      accessToken: token,
      refreshToken: text(shape.refreshToken),
      lifetime: first(shape.expiresIn).flatMap(seconds),
      refreshLifetime: first(shape.refreshExpiresIn).flatMap(seconds),
      scopes: first(shape.scope).flatMap(scopes)
    )
  }

  /// A whole number of seconds, also written as a text; nil for none, zero and what no platform means.
  private static func seconds(_ value: JSONValue) -> Duration? {
    let number = value.int64Value ?? value.stringValue.flatMap { Int64($0) }
    guard let number, (1...315_360_000).contains(number) else { return nil }
    return .seconds(number)
  }

  private static func scopes(_ value: JSONValue) -> [String]? {
    switch value {
    case .string(let text): ScopeText.split(text)
    case .array(let items): items.compactMap(\.stringValue)
    default: nil
    }
  }
}

/// Scopes as platforms write them.
package enum ScopeText {
  /// Parts between spaces and commas.
  package static func split(_ text: String) -> [String] {
    text.split { $0 == " " || $0 == "," }.map(String.init)
  }
}

extension OAuthAnswerTest {
  func holds(status: Int, _ document: JSONValue) -> Bool {
    guard statuses.isEmpty || statuses.contains(status), let value = document.pointer(pointer) else { return false }
    switch value {
    case .string(let text): return values.contains(text)
    case .int(let number): return values.contains("\(number)")
    default: return false
    }
  }
}
