internal import CCurl

/// One reusable handle of the library with everything that a request in flight needs.
///
/// Bound to the client's thread. The loop's array owns it as long as the library holds a pointer to it.
@safe final class Transfer {
  let easy: UnsafeMutableRawPointer
  private let configuration: HTTPClient.Configuration
  private let sockets: SocketTable
  /// Passes what steers the transfer with this number on to its thread.
  private let steer: @Sendable (UInt64, TransferControl.Command) -> Void

  /// Names the request in flight, for those who steer it.
  private(set) var number: UInt64 = 0
  private(set) var submission: Submission?
  private var headerList: UnsafeMutablePointer<curl_slist>?
  private var body: BodySource?
  private var boundary: String?
  private var head: ResponseHead
  /// Whether the receiver takes the body.
  private var isReceiving = false
  private var received: [UInt8] = []
  private var receivedCount = 0
  private var prerequests = 0
  private var openedSockets: [Int32] = []
  private var startedAt = ContinuousClock.now
  /// Whether a kept connection was found unfit before anything was sent, so that `renew` can try a fresh one.
  private(set) var wantsFreshConnection = false
  private var sentAt: Moment?
  private var end = TransferEnd(code: CURLE_OK)

  /// Returns nil if there is no memory for a handle.
  init?(
    configuration: HTTPClient.Configuration,
    sockets: SocketTable,
    steer: @escaping @Sendable (UInt64, TransferControl.Command) -> Void
  ) {
    guard let easy = unsafe curl_easy_init() else { return nil }
    self.steer = steer
    unsafe self.easy = easy
    self.configuration = configuration
    self.sockets = sockets
    head = ResponseHead(maximumBytes: configuration.maximumHeaderBytes)
  }

  deinit {
    unsafe curl_easy_cleanup(easy)
    unsafe curl_slist_free_all(headerList)
  }

  /// Prepares the handle for `submission`; false means `finish` can be called at once.
  func begin(_ submission: Submission, number: UInt64) -> Bool {
    self.submission = submission
    self.number = number
    startedAt = .now
    do {
      body = try openBody(submission.request.body)
    } catch {
      end.bodyUnreadable = true
      return false
    }
    var options = unsafe TransferOptions(easy: easy)
    unsafe options.setFixed(
      configuration: configuration,
      context: Unmanaged.passUnretained(self).toOpaque(),
      sockets: Unmanaged.passUnretained(sockets).toOpaque()
    )
    options.set(submission.request, bodyLength: body?.length, boundary: boundary)
    unsafe headerList = options.takeHeaders()
    end.code = options.code
    return options.code == CURLE_OK
  }

  /// Prepares the same request for a fresh connection; nothing of it has been sent.
  func renew() -> Bool {
    guard wantsFreshConnection, let submission else { return false }
    wantsFreshConnection = false
    prerequests = 0
    openedSockets = []
    head = ResponseHead(maximumBytes: configuration.maximumHeaderBytes)
    end = TransferEnd(code: CURLE_OK)
    guard body?.seek(to: 0) != false else { return false }
    var options = unsafe TransferOptions(easy: easy)
    options.setFreshConnection(timeout: submission.request.timeout - (.now - startedAt))
    return options.code == CURLE_OK
  }

  /// Ends the request and empties the handle for the next one; the handle must not be in the multi handle any more.
  func finish(
    _ code: CURLcode,
    shuttingDown: Bool = false,
    stopped: Bool = false
  ) -> (outcome: Outcome, submission: Submission)? {
    guard let submission else { return nil }
    if end.code == CURLE_OK { end.code = code }
    end.shuttingDown = shuttingDown
    if stopped { end.stopped = true }
    end.headComplete = head.isComplete
    let outcome = makeOutcome(lastByteAt: .now)
    clear()
    return (outcome, submission)
  }

  private func openBody(_ body: RequestBody) throws(BodySource.Unreadable) -> BodySource? {
    switch body {
    case .none: return nil
    case .bytes(let bytes): return try BodySource([.bytes(bytes)])
    case .file(let file): return try BodySource([.file(file)])
    case .multipart(let parts, let boundary):
      let boundary = boundary ?? MultipartForm.makeBoundary()
      self.boundary = boundary
      return try BodySource(MultipartForm.pieces(of: parts, boundary: boundary))
    }
  }

  private func makeOutcome(lastByteAt: Moment) -> Outcome {
    let detail = unsafe String(cString: curl_easy_strerror(end.code))
    switch end.outcomeClass {
    case .notSent(let reason):
      return .notSent(Outcome.NotSent(reason: reason, detail: detail))
    case .unknown(let reason):
      return .unknown(
        Outcome.Unknown(
          reason: reason,
          detail: detail,
          sentAt: sentAt ?? lastByteAt,
          lastByteAt: lastByteAt,
          status: head.isComplete ? head.status : nil
        )
      )
    case .response:
      let timings = unsafe TransferOptions.timings(of: easy)
      return .response(
        Response(
          status: head.status,
          headers: head.headers,
          body: received,
          truncated: receivedCount > received.count,
          sentAt: sentAt ?? lastByteAt,
          lastByteAt: lastByteAt,
          timings: timings
        )
      )
    }
  }

  private func clear() {
    // Resetting keeps nothing of the former request: neither its secrets nor its pointers into this object.
    unsafe curl_easy_reset(easy)
    unsafe curl_slist_free_all(headerList)
    unsafe headerList = nil
    submission = nil
    body = nil
    boundary = nil
    head = ResponseHead(maximumBytes: configuration.maximumHeaderBytes)
    isReceiving = false
    received = []
    receivedCount = 0
    prerequests = 0
    openedSockets = []
    wantsFreshConnection = false
    sentAt = nil
    end = TransferEnd(code: CURLE_OK)
  }
}

// MARK: - Called by the library

extension Transfer {
  /// Decides whether a socket to `address` may be opened; nil is an address of an unknown kind.
  func mayConnect(to address: SocketAddress?) -> Bool {
    guard let address, let submission, submission.request.addressPolicy(address) else {
      end.addressDenied = true
      return false
    }
    end.addressDenied = false
    return true
  }

  /// Notes a socket that has been opened for this request.
  func opened(_ socket: Int32) {
    openedSockets.append(socket)
  }

  /// Runs just before the request is written, a second time when the library wants to write it again.
  func maySend(from local: SocketAddress?, to remote: SocketAddress?) -> Bool {
    guard let submission else { return false }
    prerequests += 1
    if prerequests > 1, case .once = submission.request.replayPolicy {
      end.replayRefused = true
      return false
    }
    // A kept connection was vetted for another request, so its address is asked about again.
    guard mayConnect(to: remote), let local, let remote else { return false }
    let key = SocketTable.Key(local: local, remote: remote)
    if !openedSockets.isEmpty {
      sockets.connected(key, candidates: openedSockets)
      openedSockets = []
    } else if !sockets.isQuiet(key) {
      wantsFreshConnection = prerequests == 1
      return false
    }
    guard submission.request.beforeFirstByte() else {
      end.guardRefused = true
      return false
    }
    if sentAt == nil { sentAt = .now }
    end.byteMayHaveLeft = true
    return true
  }

  /// Fills `buffer` with the next bytes of the body; nil gives the request up.
  @unsafe func readBody(into buffer: UnsafeMutableRawBufferPointer) -> Int? {
    guard let body else { return 0 }
    do {
      return try unsafe body.read(into: buffer)
    } catch {
      end.bodyUnreadable = true
      return nil
    }
  }

  /// Moves the body to `position` for sending it again.
  func seekBody(to position: Int64) -> Bool {
    body?.seek(to: position) ?? false
  }

  /// Takes one header line; false gives the request up.
  func takeHeader(_ line: [UInt8]) -> Bool {
    let wasComplete = head.isComplete
    guard head.consume(line[...]) else {
      end.headRefused = true
      return false
    }
    if head.isComplete, !wasComplete, let receiver = submission?.request.receiver {
      let (number, steer) = (number, steer)
      let control = TransferControl { steer(number, $0) }
      isReceiving = receiver.begin(status: head.status, headers: head.headers, control: control)
    }
    return true
  }

  /// Takes bytes of the answer's body.
  @unsafe func takeBody(_ bytes: UnsafeRawBufferPointer) -> ResponseIntake {
    guard let submission else { return .stop }
    if isReceiving, let receiver = submission.request.receiver {
      let intake = receiver.take(unsafe Array(bytes))
      if case .stop = intake { end.stopped = true }
      if case .taken = intake { receivedCount += bytes.count }
      guard mayExpand(to: receivedCount) else { return .stop }
      return intake
    }
    let limit = submission.request.maximumResponseBytes
    let room = limit - received.count
    unsafe received.append(contentsOf: bytes.prefix(room))
    receivedCount += bytes.count
    let (cap, overflow) = limit.addingReportingOverflow(configuration.maximumDiscardedBytes)
    guard overflow || receivedCount <= cap else {
      end.responseTooLarge = true
      return .stop
    }
    return mayExpand(to: receivedCount) ? .taken : .stop
  }

  /// Whether so many decompressed bytes are in proportion to what came over the wire.
  private func mayExpand(to count: Int) -> Bool {
    guard count > Self.freeExpansion else { return true }
    let (allowed, overflow) = unsafe TransferOptions.downloaded(of: easy)
      .multipliedReportingOverflow(by: configuration.maximumExpansion)
    guard overflow || Int64(count) <= allowed else {
      end.responseTooLarge = true
      return false
    }
    return true
  }

  private static let freeExpansion = 256 << 10
}
