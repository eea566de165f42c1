/// Names that a plugin may never fill, whatever a manifest says: the host's framing, and what carries a credential or
/// turns a request into another one.
extension EgressRule {
  /// Whether only the host may write this header; `name` is in lower case.
  package static func isReserved(header name: String) -> Bool {
    reservedHeaders.contains(name) || reservedPrefixes.contains { name.hasPrefix($0) }
  }

  /// Whether a query key carries a credential on one of the platforms that take them there.
  package static func isReserved(query key: String) -> Bool {
    let key = key.lowercased()
    return credentialKeys.contains(key) || credentialQueryKeys.contains(key) || key.hasPrefix("x-amz-")
      || key.hasPrefix("x-goog-")
  }

  /// Whether a field of a form, or a member at the top of a JSON body, carries a credential.
  package static func isReserved(bodyField name: String) -> Bool {
    credentialKeys.contains(name.lowercased())
  }

  /// Whether a query or body field asks the server to treat the request as one with another method.
  package static func isMethodOverride(name: String, value: String) -> Bool {
    guard overrideNames.contains(name.lowercased()) else { return false }
    return ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].contains(value.uppercased())
  }

  private static let reservedHeaders: Set<String> = [
    "api-key", "apikey", "authentication", "authorization", "connection", "content-encoding", "content-length",
    "content-type", "cookie", "cookie2", "dpop", "expect", "forwarded", "host", "http2-settings", "keep-alive",
    "private-token", "signature", "signature-input", "te", "trailer", "transfer-encoding", "upgrade", "user-agent",
    "via",
    "x-access-token", "x-api-key", "x-auth-token", "x-authorization", "x-goog-api-key", "x-http-method",
    "x-http-method-override", "x-method-override", "x-original-url", "x-real-ip", "x-rewrite-url",
  ]
  private static let reservedPrefixes = ["proxy-", "sec-", "webhook-", "x-amz-", "x-forwarded-"]

  private static let credentialKeys: Set<String> = [
    "access_token", "api_key", "apikey", "appsecret_proof", "auth_token", "client_assertion", "client_secret",
    "id_token", "oauth_signature", "oauth_token", "refresh_token",
  ]
  private static let credentialQueryKeys: Set<String> = [
    "access-token", "accesstoken", "api-key", "authorization", "bearer", "jwt", "passwd", "password", "secret",
    "session_token", "signature",
  ]
  private static let overrideNames: Set<String> = ["_method", "http_method", "method", "x-http-method-override"]
}
