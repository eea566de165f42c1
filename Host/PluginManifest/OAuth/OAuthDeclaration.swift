/// How the host connects accounts of a platform by OAuth 2.0 (RFC 6749): the application it speaks for, the page it
/// sends people to, and every request it makes with a code or a token. Plugins see none of these values.
package struct OAuthDeclaration: Sendable, Equatable {
  /// The host's registration with the platform, by names of the manifest's `configuration`.
  package struct Application: Sendable, Equatable {
    package let clientID: String
    /// Nil for platforms that give public clients no secret.
    package let clientSecret: String?
    /// The name under which an operator may write down the registered callback address.
    package let callback: String?
  }

  package let application: Application
  /// The secret of the manifest that holds the access token.
  package let secret: String
  /// The page where people allow the access.
  package let authorization: OAuthPage
  /// How the platform joins scopes: a space or a comma.
  package let scopeSeparator: String
  package let scopes: [OAuthScopeSet]
  /// The first one brings the code; each further one brings the token before, such as for a long-lived one.
  package let exchange: [OAuthRequest]
  package let refresh: OAuthRefresh?
  /// Requests that end the access, in their order; empty where the platform has none.
  package let revoke: [OAuthRequest]
  /// The accounts behind one sign-in, such as pages; nil where the token is of one account.
  package let accounts: OAuthAccounts?
  /// Answers that mean that the credentials are dead, beside the errors of RFC 6749 §5.2.
  package let dead: [OAuthAnswerTest]
  /// The issuer that a callback must name (RFC 9207); nil where the platform names none.
  package let issuer: String?

  /// Every address of the declaration, in the form of the manifest; what an operator grants.
  package var addresses: [String] {
    let requests = exchange + [refresh?.request].compactMap(\.self) + revoke + [accounts?.request].compactMap(\.self)
    return Array(Set([authorization.address] + requests.map(\.address))).sorted()
  }

  /// Whether the sign-in carries a proof key (RFC 7636).
  package var usesProofKey: Bool {
    authorization.parameters.values.contains { $0 == .place(.challenge) || $0 == .place(.challengeInHex) }
  }
}

/// A value that the host fills in, or a text of the manifest.
package enum OAuthValue: Sendable, Equatable {
  case text(String)
  case place(OAuthPlace)
}

/// What the host fills in; a value of the manifest is one of these as a whole, never a part of a longer text.
package enum OAuthPlace: String, Sendable, CaseIterable {
  case clientID = "{client.id}"
  case clientSecret = "{client.secret}"
  case redirect = "{redirect}"
  case state = "{state}"
  case scope = "{scope}"
  /// Base64url of the SHA-256 of the verifier.
  case challenge = "{challenge}"
  /// The same in lower-case hex, which one platform wants.
  case challengeInHex = "{challenge.hex}"
  case verifier = "{verifier}"
  case code = "{code}"
  case token = "{token}"
  case refreshToken = "{refresh}"
}

/// The page of a platform where people allow the access.
package struct OAuthPage: Sendable, Equatable {
  /// `https://host/path`, or `{origin}/path` on the server that the account names.
  package let address: String
  package let parameters: [String: OAuthValue]
}

/// One request of the host to a platform's token endpoint or to one like it.
package struct OAuthRequest: Sendable, Equatable {
  package enum Method: String, Sendable, CaseIterable {
    /// The parameters stand in the query.
    case get = "GET"
    /// The parameters are a form.
    case post = "POST"
    /// The parameters stand in the query.
    case delete = "DELETE"
  }

  /// What stands in the header `Authorization`.
  package enum Authentication: String, Sendable, CaseIterable {
    case none
    /// Id and secret of the client (RFC 6749 §2.3.1).
    case basic
    /// The access token.
    case bearer
  }

  package let method: Method
  package let address: String
  package let authentication: Authentication
  package let parameters: [String: OAuthValue]
  package let answer: OAuthAnswerShape

  /// Whether this value is part of the request.
  package func carries(_ place: OAuthPlace) -> Bool {
    if authentication == .bearer, place == .token { return true }
    if authentication == .basic, place == .clientID || place == .clientSecret { return true }
    return parameters.values.contains(.place(place))
  }
}

/// Where an answer holds what; the first pointer that leads to a value counts.
package struct OAuthAnswerShape: Sendable, Equatable {
  package var accessToken = ["/access_token"]
  package var refreshToken = ["/refresh_token"]
  /// Seconds.
  package var expiresIn = ["/expires_in"]
  /// Seconds that the refresh token lives.
  package var refreshExpiresIn = ["/refresh_expires_in", "/refresh_token_expires_in"]
  /// A text or a list of texts.
  package var scope = ["/scope"]

  package init() {}
}

/// Scopes that are asked for together, and what they are for.
package struct OAuthScopeSet: Sendable, Equatable {
  package let name: String
  package let label: String
  /// Why it is wanted, for the person who decides; nil for what every account needs.
  package let reason: String?
  /// Whether no account is connected without it.
  package let isRequired: Bool
  package let scopes: [String]
}

/// How access tokens are renewed.
package struct OAuthRefresh: Sendable, Equatable {
  /// What becomes of the token that a renewal used.
  package enum Rotation: String, Sendable, CaseIterable {
    /// It stays good; a renewal may be repeated.
    case none
    /// It stays good for a short time.
    case grace
    /// It is spent with its first use, and a second use may end all of them.
    case strict
  }

  package let request: OAuthRequest
  package let rotation: Rotation
  /// How long a used token stays good; zero unless the rotation is `grace`.
  package let grace: Duration
  /// A token younger than this can not be renewed.
  package let minimumAge: Duration
  /// How long an access token lives whose answer does not say so; nil if that is not known.
  package let lifetime: Duration?
  /// Whether an answer without a new refresh token is broken.
  package let needsRefreshToken: Bool
}

/// A list of the accounts that one sign-in reaches.
package struct OAuthAccounts: Sendable, Equatable {
  package let request: OAuthRequest
  /// Leads to the list; "" if the answer is the list.
  package let each: String
  /// Where each entry holds what.
  package let id: String
  package let name: String
  package let handle: String?
  /// The token of the account itself; nil if the one of the sign-in is used.
  package let token: String?
  /// A list of texts in the entry, and those of which one must be there for the account to be of use.
  package let needs: (pointer: String, anyOf: [String])?
  /// Where the answer holds the mark of the next page, and the parameter that takes it.
  package let next: (pointer: String, parameter: String)?

  package static func == (left: OAuthAccounts, right: OAuthAccounts) -> Bool {
    left.request == right.request && left.each == right.each && left.id == right.id && left.name == right.name
      && left.handle == right.handle && left.token == right.token && left.needs?.pointer == right.needs?.pointer
      && left.needs?.anyOf == right.needs?.anyOf && left.next?.pointer == right.next?.pointer
      && left.next?.parameter == right.next?.parameter
  }
}

/// A test of an answer.
package struct OAuthAnswerTest: Sendable, Equatable {
  /// Empty for any status.
  package let statuses: Set<Int>
  package let pointer: String
  /// The value is one of these texts or whole numbers, written as texts.
  package let values: [String]
}
