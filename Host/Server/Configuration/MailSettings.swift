package import Cryptography
internal import HTTPClient
internal import Notices

/// How the host sends mails.
package struct MailSettings: Sendable {
  package var host: String
  package var port: UInt16
  /// `starttls`, `tls` or `none`.
  package var security: String
  package var user: String?
  package var password: Secret?
  package var from: String
  /// A PEM file of certificate authorities in place of the system's.
  package var certificateAuthorities: String?

  /// The server, for the client.
  var server: MailServer {
    MailServer(
      host: host,
      port: port,
      security: MailServer.Security(rawValue: security) ?? .startTLS,
      user: user,
      password: password?.revealText(),
      certificateAuthorities: certificateAuthorities
    )
  }

  /// Reads `host:port`, `[address6]:port`, or a host alone with the usual port.
  static func place(_ text: String, security: String) -> (host: String, port: UInt16)? {
    let usual: UInt16 = security == "tls" ? 465 : security == "none" ? 25 : 587
    var (host, port) = (text[...], usual)
    if text.hasPrefix("[") {
      guard let close = text.firstIndex(of: "]") else { return nil }
      host = text[text.index(after: text.startIndex)..<close]
      let rest = text[text.index(after: close)...]
      if !rest.isEmpty {
        guard rest.hasPrefix(":"), let number = UInt16(rest.dropFirst()) else { return nil }
        port = number
      }
    } else if let colon = text.firstIndex(of: ":") {
      guard let number = UInt16(text[text.index(after: colon)...]) else { return nil }
      (host, port) = (text[..<colon], number)
    }
    let isName = host.utf8.allSatisfy { byte in
      byte == 0x2D || byte == 0x2E || byte == 0x3A || (48...57).contains(byte) || (65...90).contains(byte)
        || (97...122).contains(byte)
    }
    guard (1...253).contains(host.utf8.count), isName, port > 0 else { return nil }
    return (String(host), port)
  }

  static func isAddress(_ text: String) -> Bool { MailText.isAddress(text) }
}
