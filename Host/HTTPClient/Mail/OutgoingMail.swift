/// The server that takes mails from this host.
package struct MailServer: Sendable {
  package enum Security: String, Sendable, CaseIterable {
    /// The connection starts plain and must become encrypted before anything else is said.
    case startTLS = "starttls"
    /// Encrypted from the first byte.
    case tls
    /// Not encrypted; only where the operator says so.
    case none
  }

  package var host: String
  package var port: UInt16
  package var security: Security
  package var user: String?
  /// Never shown.
  package var password: String?
  /// A PEM file of certificate authorities in place of the system's.
  package var certificateAuthorities: String?

  package init(
    host: String,
    port: UInt16,
    security: Security,
    user: String? = nil,
    password: String? = nil,
    certificateAuthorities: String? = nil
  ) {
    self.host = host
    self.port = port
    self.security = security
    self.user = user
    self.password = password
    self.certificateAuthorities = certificateAuthorities
  }
}

extension MailServer: CustomStringConvertible, CustomReflectable {
  package var description: String { "\(host):\(port)" }
  package var customMirror: Mirror { Mirror(self, children: []) }
}

/// One mail for one recipient: the envelope, and the message as it is sent.
package struct OutgoingMail: Sendable {
  /// Addresses without angle brackets.
  package var from: String
  package var to: String
  /// Headers and body with CRLF line ends.
  package var message: [UInt8]

  package init(from: String, to: String, message: [UInt8]) {
    self.from = from
    self.to = to
    self.message = message
  }
}

/// What became of a mail. The details are constant texts and reply codes, safe to log.
package enum MailOutcome: Sendable, Equatable {
  /// The server has taken it.
  case sent
  /// The server said no for ever; the same mail will be refused again.
  case refused(code: Int, String)
  /// Not now: the server said so, was not there, or it is not known whether it took the mail.
  case failed(code: Int?, String)
}
