package import Cryptography
package import PluginManifest

/// What the host fills into the requests of one sign-in or renewal.
package struct OAuthValues: Sendable {
  package var clientID: String
  package var clientSecret: Secret?
  /// The callback address, the very same in every request.
  package var redirect: String
  package var state: String?
  /// Joined as the platform wants it.
  package var scope: String?
  package var proof: ProofKey?
  package var code: Secret?
  package var token: Secret?
  package var refreshToken: Secret?
  /// The server of the account, for platforms that run on many.
  package var origin: String?

  package init(clientID: String, clientSecret: Secret?, redirect: String, origin: String? = nil) {
    self.clientID = clientID
    self.clientSecret = clientSecret
    self.redirect = redirect
    self.origin = origin
  }

  /// The value of a place; nil when there is none.
  package func text(_ place: OAuthPlace) -> String? {
    switch place {
    case .clientID: clientID
    case .clientSecret: clientSecret?.revealText()
    case .redirect: redirect
    case .state: state
    case .scope: scope
    case .challenge: proof?.challenge
    case .challengeInHex: proof?.challengeInHex
    case .verifier: proof?.verifier.revealText()
    case .code: code?.revealText()
    case .token: token?.revealText()
    case .refreshToken: refreshToken?.revealText()
    }
  }

  /// The address with the account's server filled in.
  func address(_ text: String) throws(OAuthError) -> String {
    guard text.hasPrefix(Self.originMark) else { return text }
    guard let origin else { throw .missing("the server of the account") }
    return origin + text.dropFirst(Self.originMark.count)
  }

  /// Names with values in the order of the names; a value that is not there is an error, never an empty text.
  func pairs(_ parameters: [String: OAuthValue]) throws(OAuthError) -> [(String, String)] {
    var pairs: [(String, String)] = []
    for (name, value) in parameters.sorted(by: { $0.key < $1.key }) {
      switch value {
      case .text(let text): pairs.append((name, text))
      case .place(let place):
        guard let text = text(place), !text.isEmpty else { throw .missing(place.rawValue) }
        pairs.append((name, text))
      }
    }
    return pairs
  }

  private static let originMark = "{origin}"
}

/// A request that can not be made.
package enum OAuthError: Error, Equatable, CustomStringConvertible {
  /// A value that the manifest asks for is not there; what it is, never the value.
  case missing(String)

  package var description: String {
    switch self {
    case .missing(let what): "\(what) is not there"
    }
  }
}
