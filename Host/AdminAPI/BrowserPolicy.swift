import Cryptography
import FoundationEssentials
import HTTPServer

/// How the host deals with browsers: the cookie of a session, and which pages may send it.
package struct BrowserPolicy: Sendable {
  /// The address that people open, such as `https://rostrum.example.org`; nil for whatever they reach the host at.
  private let origin: String?
  /// Whether browsers speak TLS with the host; only a host on the own machine does without.
  private let isSecure: Bool

  /// - Parameters:
  ///   - publicURL: `ROSTRUM_PUBLIC_URL`.
  ///   - listens: the address that is listened on, which people open where there is no public one.
  package init(publicURL: String?, listens host: String) {
    let url = publicURL.flatMap { URL(string: $0) }
    origin = url.flatMap(Self.origin)
    isSecure = url.map { $0.scheme != "http" || !Self.isLoopback($0.host() ?? "") } ?? !Self.isLoopback(host)
  }

  /// With `__Host-` a browser takes the cookie only from this very host over TLS, which plain HTTP can not give.
  var cookieName: String { isSecure ? "__Host-rostrum" : "rostrum_session" }

  /// The header that gives a browser its session.
  func cookie(_ session: Secret, lifetime: Duration) -> String {
    line(cookieName, session.revealText() ?? "", "Max-Age=\(lifetime.components.seconds)")
  }

  /// The header that takes it away.
  var removedCookie: String { line(cookieName, "", "Max-Age=0") }

  // MARK: Sign-ins at platforms

  /// The cookie of the browser that started a sign-in; each has its own, so that several can run.
  func signInCookieName(_ id: Int64) -> String { isSecure ? "__Host-rostrum-connect-\(id)" : "rostrum_connect_\(id)" }

  func signInCookie(_ id: Int64, _ browser: Secret) -> String {
    line(signInCookieName(id), browser.revealText() ?? "", "Max-Age=600")
  }

  func removedSignInCookie(_ id: Int64) -> String { line(signInCookieName(id), "", "Max-Age=0") }

  // Lax, because Strict would be missing when a platform sends people back after they allowed the host there.
  private func line(_ name: String, _ value: String, _ age: String) -> String {
    "\(name)=\(value); Path=/; HttpOnly; SameSite=Lax; \(age)" + (isSecure ? "; Secure" : "")
  }

  /// Whether a page of this host sent the request, so that its cookie counts for a change.
  ///
  /// Every browser of today sends `Sec-Fetch-Site` where it trusts the connection and `Origin` with every change, and
  /// no page can set either. Other clients send neither; they use tokens.
  func isOwnPage(_ headers: HTTPHeaders) -> Bool { verdict(headers) ?? false }

  /// Whether a page of another site sent the request.
  func isForeignPage(_ headers: HTTPHeaders) -> Bool { verdict(headers).map { !$0 } ?? false }

  /// Nil when the request does not say.
  private func verdict(_ headers: HTTPHeaders) -> Bool? {
    if let site = headers["sec-fetch-site"] { return site == "same-origin" || site == "none" }
    guard let sent = headers["origin"] else { return nil }
    if let origin { return sent == origin }
    guard let host = headers["host"] else { return false }
    return sent == "http://\(host)" || sent == "https://\(host)"
  }

  private static func origin(_ url: URL) -> String? {
    guard let scheme = url.scheme, let host = url.host() else { return nil }
    let standard = scheme == "https" ? 443 : 80
    let port = url.port.flatMap { $0 == standard ? nil : ":\($0)" } ?? ""
    return "\(scheme)://\(host.lowercased())\(port)"
  }

  private static func isLoopback(_ host: String) -> Bool {
    if host == "localhost" || host == "::1" || host == "[::1]" { return true }
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
  }
}
