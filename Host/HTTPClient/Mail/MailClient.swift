internal import CCurl
internal import Dispatch

/// Sends mails by SMTP, one after the other, on a queue of its own.
///
/// It stands in this module because one module owns the library.
package final class MailClient: Sendable {
  private let server: MailServer
  private let queue = DispatchQueue(label: "mail")

  package init(_ server: MailServer) {
    self.server = server
  }

  /// Hands the mail to the server. Cancelling the task has no effect.
  package func send(_ mail: OutgoingMail) async -> MailOutcome {
    await withCheckedContinuation { continuation in
      queue.async { [server] in
        continuation.resume(returning: MailTransfer.run(mail, through: server))
      }
    }
  }
}

/// One conversation with a server; blocks its thread.
private enum MailTransfer {
  /// The name that this host gives in its greeting; the library's own guess may hold characters that servers refuse.
  private static let greeting = "localhost"
  /// Seconds.
  private static let timeout = 60
  private static let connectTimeout = 10

  static func run(_ mail: OutgoingMail, through server: MailServer) -> MailOutcome {
    guard TransferLoop.isLibraryStarted, let easy = unsafe curl_easy_init() else {
      return .failed(code: nil, "the mail library did not start")
    }
    defer { unsafe curl_easy_cleanup(easy) }
    let scheme = server.security == .tls ? "smtps" : "smtp"
    let host = server.host.contains(":") ? "[\(server.host)]" : server.host
    var recipients: UnsafeMutablePointer<curl_slist>?
    unsafe recipients = curl_slist_append(nil, "<\(mail.to)>")
    defer { unsafe curl_slist_free_all(recipients) }
    let source = MailSource(mail.message)
    var problems = 0
    func note(_ code: CURLcode) { if code != CURLE_OK { problems += 1 } }
    unsafe note(CCurl_setString(easy, CURLOPT_URL, "\(scheme)://\(host):\(server.port)/\(greeting)"))
    unsafe note(CCurl_setString(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps"))
    unsafe note(CCurl_setString(easy, CURLOPT_PROXY, ""))
    unsafe note(CCurl_setLong(easy, CURLOPT_NOSIGNAL, 1))
    unsafe note(CCurl_setLong(easy, CURLOPT_TIMEOUT, timeout))
    unsafe note(CCurl_setLong(easy, CURLOPT_CONNECTTIMEOUT, connectTimeout))
    if server.security != .none {
      unsafe note(CCurl_setLong(easy, CURLOPT_USE_SSL, Int(CURLUSESSL_ALL.rawValue)))
      unsafe note(CCurl_setLong(easy, CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2)))
    }
    if let path = server.certificateAuthorities { unsafe note(CCurl_setString(easy, CURLOPT_CAINFO, path)) }
    if let user = server.user {
      unsafe note(CCurl_setString(easy, CURLOPT_USERNAME, user))
      unsafe note(CCurl_setString(easy, CURLOPT_PASSWORD, server.password ?? ""))
    }
    unsafe note(CCurl_setString(easy, CURLOPT_MAIL_FROM, "<\(mail.from)>"))
    unsafe note(CCurl_setList(easy, CURLOPT_MAIL_RCPT, recipients))
    unsafe note(CCurl_setLong(easy, CURLOPT_UPLOAD, 1))
    unsafe note(CCurl_setOffset(easy, CURLOPT_INFILESIZE_LARGE, curl_off_t(mail.message.count)))
    unsafe note(CCurl_setDataFunction(easy, CURLOPT_READFUNCTION, readMail))
    unsafe note(CCurl_setPointer(easy, CURLOPT_READDATA, Unmanaged.passUnretained(source).toOpaque()))
    guard problems == 0 else { return .failed(code: nil, "the mail library lacks what this mail needs") }
    let code = unsafe curl_easy_perform(easy)
    withExtendedLifetime(source) {}
    if code == CURLE_OK { return .sent }
    var reply = 0
    // Without a reply the value stays 0.
    _ = unsafe CCurl_getLong(easy, CURLINFO_RESPONSE_CODE, &reply)
    return outcome(code, reply)
  }

  private static func outcome(_ code: CURLcode, _ reply: Int) -> MailOutcome {
    switch code {
    case CURLE_LOGIN_DENIED: .failed(code: reply, "the server does not take user and password")
    case CURLE_USE_SSL_FAILED: .failed(code: reply, "the server does not offer encryption")
    case CURLE_PEER_FAILED_VERIFICATION: .failed(code: nil, "the server's certificate is not trusted")
    case CURLE_COULDNT_RESOLVE_HOST: .failed(code: nil, "the server's name has no address")
    case CURLE_COULDNT_CONNECT: .failed(code: nil, "nothing answers at the server's address")
    case CURLE_OPERATION_TIMEDOUT: .failed(code: nil, "the server did not answer in time")
    default:
      switch reply {
      case 500..<600: .refused(code: reply, "the server refused the mail with \(reply)")
      case 400..<500: .failed(code: reply, "the server answered \(reply)")
      default: .failed(code: nil, "the conversation with the server broke (\(code.rawValue))")
      }
    }
  }
}

/// The bytes of a mail while the library reads them. Used on the queue of one client only.
final class MailSource {
  private let bytes: [UInt8]
  private var offset = 0

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  /// Copies what fits; answers how many bytes that were.
  func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    let count = min(buffer.count, bytes.count - offset)
    unsafe buffer.copyBytes(from: bytes[offset..<offset + count])
    offset += count
    return count
  }
}

/// Called by the library on the thread of the conversation.
private func readMail(
  _ data: UnsafeMutablePointer<CChar>?,
  _ size: Int,
  _ count: Int,
  _ context: UnsafeMutableRawPointer?
) -> Int {
  let (room, overflow) = size.multipliedReportingOverflow(by: count)
  guard !overflow, let data = unsafe data, let context = unsafe context else { return 0 }
  let source = unsafe Unmanaged<MailSource>.fromOpaque(context).takeUnretainedValue()
  return unsafe source.read(into: UnsafeMutableRawBufferPointer(start: data, count: room))
}
