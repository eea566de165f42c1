internal import CCurl

/// What is known when a transfer has ended; decides the class of the outcome.
struct TransferEnd {
  /// The library's result.
  var code: CURLcode
  /// Whether the prerequest function let the request pass.
  var byteMayHaveLeft = false
  /// Whether the header of a final answer had come whole.
  var headComplete = false
  /// Whether the library wanted to send a request a second time that may be sent once.
  var replayRefused = false
  var guardRefused = false
  var addressDenied = false
  var bodyUnreadable = false
  var responseTooLarge = false
  var headRefused = false
  var shuttingDown = false
  /// Whether the receiver of the body, or whoever steers it, ended the transfer.
  var stopped = false

  enum Class: Equatable {
    case response
    case notSent(Outcome.NotSent.Reason)
    case unknown(Outcome.Unknown.Reason)
  }

  /// The class: without the prerequest function nothing was sent; with it, only a complete answer says what happened.
  var outcomeClass: Class {
    guard byteMayHaveLeft else { return .notSent(notSentReason) }
    // The library reports success for a header that is cut off in the middle of a line.
    if code == CURLE_OK, headComplete, !shuttingDown, !stopped { return .response }
    return .unknown(unknownReason)
  }

  private var notSentReason: Outcome.NotSent.Reason {
    if shuttingDown { return .shuttingDown }
    if bodyUnreadable { return .bodyUnreadable }
    if guardRefused { return .guardRefused }
    if addressDenied { return .addressDenied }
    return switch code {
    case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL, CURLE_LOGIN_DENIED: .invalidRequest
    case CURLE_COULDNT_RESOLVE_HOST: .resolveFailed
    case CURLE_COULDNT_CONNECT: .connectFailed
    case CURLE_OPERATION_TIMEDOUT: .timeout
    case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
      CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_INVALIDCERTSTATUS:
      .tlsFailed
    default: .libraryFailure
    }
  }

  private var unknownReason: Outcome.Unknown.Reason {
    if shuttingDown { return .shuttingDown }
    if replayRefused { return .replayRefused }
    if bodyUnreadable { return .bodyUnreadable }
    if responseTooLarge { return .responseTooLarge }
    if stopped { return .stopped }
    if headRefused { return .malformedResponse }
    return switch code {
    case CURLE_OPERATION_TIMEDOUT: .timeout
    case CURLE_OK, CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_PARTIAL_FILE, CURLE_SSL_CONNECT_ERROR:
      .connectionLost
    case CURLE_WEIRD_SERVER_REPLY, CURLE_UNSUPPORTED_PROTOCOL, CURLE_BAD_CONTENT_ENCODING, CURLE_WRITE_ERROR:
      .malformedResponse
    default: .libraryFailure
    }
  }
}
