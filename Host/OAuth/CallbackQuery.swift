/// What a platform sent a browser back with. Nothing of it is shown to anybody as it came.
package struct CallbackQuery: Sendable, Equatable {
  package enum Result: Sendable, Equatable {
    /// The code to exchange.
    case code(String)
    /// The person said no.
    case denied
    /// The platform reports a failure; a short code of letters, digits and `_ . -`, or `unknown`.
    case failed(String)
  }

  /// Why a callback is not taken.
  package enum Problem: Error, Equatable {
    case repeated(String)
    case missing(String)
    case tooLong(String)
    /// A parameter of another kind of sign-in, such as a token in the query.
    case unexpected(String)
  }

  package let state: String
  package let result: Result
  /// The issuer (RFC 9207); nil if the platform names none.
  package let issuer: String?
  /// The scopes that were allowed, where the platform says so already here.
  package let scope: String?

  /// Words of platforms for a person who said no.
  private static let denials: Set<String> = [
    "access_denied", "user_cancelled_login", "user_cancelled_authorize", "user_denied",
  ]
  private static let foreign: Set<String> = ["access_token", "id_token", "token", "response"]

  /// Reads decoded names and values in the order of the query.
  package init(_ pairs: [(String, String)]) throws(Problem) {
    var values: [String: String] = [:]
    for (name, value) in pairs {
      guard value.utf8.count <= 4_096 else { throw .tooLong(String(name.prefix(40))) }
      if Self.foreign.contains(name) { throw .unexpected(name) }
      guard values.updateValue(value, forKey: name) == nil else { throw .repeated(String(name.prefix(40))) }
    }
    guard let state = values["state"], !state.isEmpty else { throw .missing("state") }
    self.state = state
    issuer = values["iss"]
    scope = values["scope"] ?? values["scopes"]
    if let error = values["error"] ?? values["error_code"] {
      guard values["code"] == nil else { throw .unexpected("code") }
      let isDenial = Self.denials.contains(error) || Self.denials.contains(values["error_reason"] ?? "")
      result = isDenial ? .denied : .failed(Self.word(error))
    } else if let code = values["code"], !code.isEmpty {
      result = .code(code)
    } else {
      throw .missing("code")
    }
  }

  private static func word(_ text: String) -> String {
    let isPlain =
      (1...60).contains(text.utf8.count)
      && text.utf8.allSatisfy { (48...57).contains($0) || (97...122).contains($0 | 32) || "_.-".utf8.contains($0) }
    return isPlain ? text : "unknown"
  }
}
