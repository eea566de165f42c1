package import Cryptography

/// What a platform gave for a code or for an older token.
package struct TokenGrant: Sendable {
  package var accessToken: Secret
  package var refreshToken: Secret?
  /// How long the access token lives from the answer on; nil if the answer does not say.
  package var lifetime: Duration?
  package var refreshLifetime: Duration?
  /// What was allowed; nil if the answer does not say, which means all that was asked for (RFC 6749 §5.1).
  package var scopes: [String]?

  package init(
    accessToken: Secret,
    refreshToken: Secret? = nil,
    lifetime: Duration? = nil,
    refreshLifetime: Duration? = nil,
    scopes: [String]? = nil
  ) {
    self.accessToken = accessToken
    self.refreshToken = refreshToken
    self.lifetime = lifetime
    self.refreshLifetime = refreshLifetime
    self.scopes = scopes
  }

  /// What holds after a further exchange or a renewal: what the newer answer leaves out stays.
  package func followed(by newer: TokenGrant) -> TokenGrant {
    TokenGrant(
      accessToken: newer.accessToken,
      refreshToken: newer.refreshToken ?? refreshToken,
      lifetime: newer.lifetime,
      refreshLifetime: newer.refreshLifetime ?? refreshLifetime,
      scopes: newer.scopes ?? scopes
    )
  }
}

/// What became of a request to a token endpoint.
package enum TokenOutcome: Sendable {
  case granted(TokenGrant)
  /// The platform answered, and nothing was changed there.
  case refused(TokenRefusal)
  /// No byte left this host.
  case notSent(String)
  /// Something was sent and no usable answer came: a token may have been used up.
  case ambiguous(String)
}

/// A refusal of a platform.
package struct TokenRefusal: Sendable, Equatable {
  package enum Kind: Sendable, Equatable {
    /// The code or token is not good any more: only the person can help.
    case dead
    /// The platform does not know the host's application, or not for this: only the operator can help.
    case application
    /// It may work later, after this time if the platform says so.
    case later(Duration?)
    /// Anything else.
    case other
  }

  package let kind: Kind
  /// The platform's word for it, such as `invalid_grant`: at most 60 plain characters.
  package let code: String?
  package let status: Int

  package init(kind: Kind, code: String?, status: Int) {
    self.kind = kind
    self.code = code
    self.status = status
  }
}
