/// Where the host puts a value that the plugin may neither see nor replace.
package enum SlotPlace: Sendable, Equatable, Hashable, CustomStringConvertible {
  /// Lower-case header name.
  case header(String)
  case query(String)
  case form(String)
  /// JSON pointer to a member of the body.
  case json(String)
  /// A hole of the path template, for platforms that want a token in the path.
  case path(String)

  package var description: String {
    switch self {
    case .header(let name): "header.\(name)"
    case .query(let key): "query.\(key)"
    case .form(let key): "form.\(key)"
    case .json(let pointer): "json.\(pointer)"
    case .path(let name): "path.\(name)"
    }
  }
}

/// One value of the host and the place it writes it to.
package struct Slot: Sendable, Equatable {
  package enum Encoding: String, Sendable, CaseIterable {
    case plain
    case base64
  }

  /// What is written. Each kind fixes what is computed, so that a plugin can never have a text of its own signed.
  package enum Value: Sendable, Equatable {
    /// The secret itself.
    case secret(String, Encoding)
    /// Base64 of `user:password` (RFC 7617), both of them secrets.
    case basic(user: String, password: String)
    /// Lower-case hex of the HMAC-SHA-256 of one secret under another.
    case hmacSHA256(key: String, message: String)
    /// A token that the host signs for this request.
    case jsonWebToken(TokenTemplate)
    /// A secret that another rule captured under this name.
    case capture(String)

    /// Names of the secrets that are needed.
    package var secretNames: Set<String> {
      switch self {
      case .secret(let name, _): [name]
      case .basic(let user, let password): [user, password]
      case .hmacSHA256(let key, let message): [key, message]
      case .jsonWebToken(let template): template.secretNames
      case .capture: []
      }
    }

    /// Name of the capture that is needed.
    package var captureName: String? {
      if case .capture(let name) = self { name } else { nil }
    }
  }

  package let place: SlotPlace
  package let value: Value
  /// Text around the value.
  package let prefix: String
  package let suffix: String
}

/// A JSON Web Token (RFC 7519) as the manifest describes it; the host adds `iat`, `exp` and `jti`.
package struct TokenTemplate: Sendable, Equatable {
  package enum Algorithm: String, Sendable, CaseIterable {
    case hs256 = "HS256"
    case rs256 = "RS256"
    case es256 = "ES256"
    case edDSA = "EdDSA"
  }

  /// How the secret holds the key.
  package enum KeyForm: String, Sendable, CaseIterable {
    /// The bytes of the text; HS256 alone.
    case text
    /// Hex; HS256 alone.
    case hex
    /// Base64; HS256 alone.
    case base64
    /// `id:hex`, where the id becomes `kid`; HS256 alone.
    case idHex
    /// A private key as PEM (PKCS #8); all others.
    case pem
  }

  package enum Claim: Sendable, Equatable {
    case literal(String)
    case secret(String)
  }

  package let algorithm: Algorithm
  /// Name of a declared secret.
  package let key: String
  package let keyForm: KeyForm
  /// Header member `kid`.
  package let keyID: Claim?
  /// Claims beside those that the host adds.
  package let claims: [String: Claim]
  /// From `iat` to `exp`.
  package let lifetime: Duration
  /// Whether a random `jti` is added.
  package let isUnique: Bool

  package var secretNames: Set<String> {
    var names: Set<String> = [key]
    for case .secret(let name) in Array(claims.values) + (keyID.map { [$0] } ?? []) { names.insert(name) }
    return names
  }
}

/// How the host signs a whole request. A closed list: each kind fixes what is signed.
package enum RequestSigner: Sendable, Equatable {
  /// Standard Webhooks 1.0.0 with the named secret.
  case standardWebhooks(secret: String)
  /// Proof of possession (RFC 9449, ES256) with the private key `key`; `token` is the access token it is bound to.
  case dpop(key: String, token: String?)
  /// AWS Signature Version 4.
  case sigV4(SigV4Policy)

  package struct SigV4Policy: Sendable, Equatable {
    /// Names of declared secrets.
    package let accessKey: String
    package let secretKey: String
    package let sessionToken: String?
    package let region: String
    package let service: String
  }

  package var secretNames: Set<String> {
    switch self {
    case .standardWebhooks(let secret): [secret]
    case .dpop(let key, let token): Set([key] + (token.map { [$0] } ?? []))
    case .sigV4(let policy): Set([policy.accessKey, policy.secretKey] + (policy.sessionToken.map { [$0] } ?? []))
    }
  }

  /// Headers that the signer writes, in lower case.
  package var headers: Set<String> {
    switch self {
    case .standardWebhooks: ["webhook-id", "webhook-timestamp", "webhook-signature"]
    case .dpop: ["dpop"]
    case .sigV4: ["authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"]
    }
  }
}
