package import FoundationEssentials
package import PluginManifest

/// When a token ends, and when it is renewed.
package struct GrantTimes: Sendable, Equatable {
  package let issuedAt: Date
  /// Nil if neither the platform nor the manifest says it: then nobody knows, which is not the same as never.
  package let expiresAt: Date?
  /// Nil if it can not or need not be renewed.
  package let renewAt: Date?

  package init(issuedAt: Date, expiresAt: Date?, renewAt: Date?) {
    self.issuedAt = issuedAt
    self.expiresAt = expiresAt
    self.renewAt = renewAt
  }

  /// - Parameters:
  ///   - refresh: how the platform renews tokens; nil if it does not.
  ///   - issuedAt: before the request was sent, so that the token is never believed to live longer than it does.
  ///   - spread: see ``RenewalTime/make(issuedAt:lifetime:minimumAge:spread:)``.
  package init(_ grant: TokenGrant, refresh: OAuthRefresh?, issuedAt: Date, spread: Double = .random(in: 0...1)) {
    self.issuedAt = issuedAt
    guard let lifetime = grant.lifetime ?? refresh?.lifetime else {
      (expiresAt, renewAt) = (nil, nil)
      return
    }
    expiresAt = issuedAt.addingTimeInterval(Double(lifetime.components.seconds))
    guard let refresh, grant.refreshToken != nil || !refresh.request.carries(.refreshToken) else {
      renewAt = nil
      return
    }
    renewAt = RenewalTime.make(
      issuedAt: issuedAt,
      lifetime: lifetime,
      minimumAge: refresh.minimumAge,
      spread: spread
    )
  }
}
