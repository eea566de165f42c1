/// What became of a request. There is no fourth case and no error: the class decides what the host may do next.
package enum Outcome: Sendable {
  /// A complete answer arrived, whatever its status.
  case response(Response)
  /// No byte of the request left this host.
  case notSent(NotSent)
  /// Bytes may have left and no complete answer came: the other side may or may not have acted.
  case unknown(Unknown)

  /// Why a request was not sent.
  package struct NotSent: Sendable {
    package enum Reason: String, Sendable {
      /// The request cannot be put on the wire (bad address, header or method).
      case invalidRequest
      /// A file of the body is missing, unreadable or shorter than its range.
      case bodyUnreadable
      /// `addressPolicy` refused every address.
      case addressDenied
      /// `beforeFirstByte` said no.
      case guardRefused
      /// The name has no address.
      case resolveFailed
      /// Nothing answered at the address.
      case connectFailed
      /// The TLS handshake failed or the certificate is not trusted.
      case tlsFailed
      /// No connection in time.
      case timeout
      /// The client is shutting down.
      case shuttingDown
      /// Any other failure of the library before sending.
      case libraryFailure
    }

    package var reason: Reason
    /// A constant text that is safe to log.
    package var detail: String

    package init(reason: Reason, detail: String) {
      self.reason = reason
      self.detail = detail
    }
  }

  /// Why no complete answer is at hand.
  package struct Unknown: Sendable {
    package enum Reason: String, Sendable {
      case timeout
      /// The connection ended or broke before the answer was complete.
      case connectionLost
      /// The answer breaks the rules of HTTP or the client's limits on headers.
      case malformedResponse
      /// The answer went on for far more than `maximumResponseBytes`.
      case responseTooLarge
      /// A reused connection died and the library wanted to send again, which the replay policy forbids.
      case replayRefused
      /// A file of the body could not be read to its end.
      case bodyUnreadable
      /// The client was shut down before the answer came.
      case shuttingDown
      /// The receiver of the body wanted no more, or its transfer was stopped.
      case stopped
      /// Any other failure of the library.
      case libraryFailure
    }

    package var reason: Reason
    /// A constant text that is safe to log.
    package var detail: String
    /// The moment just before the first byte could leave.
    package var sentAt: Moment
    /// The moment after which no byte can have left.
    package var lastByteAt: Moment
    /// The status, if the header of an answer had arrived whole.
    package var status: Int?
  }
}
