internal import CCurl

/// Sets the options of one handle and remembers the first failure.
@safe struct TransferOptions: ~Copyable {
  private let easy: UnsafeMutableRawPointer
  private var headers: UnsafeMutablePointer<curl_slist>?
  private(set) var code = CURLE_OK

  @unsafe init(easy: UnsafeMutableRawPointer) {
    unsafe self.easy = easy
  }

  deinit {
    unsafe curl_slist_free_all(headers)
  }

  /// Gives the header list to the caller, who keeps it as long as the transfer lasts.
  mutating func takeHeaders() -> UnsafeMutablePointer<curl_slist>? {
    let list = unsafe headers
    unsafe headers = nil
    return unsafe list
  }

  /// Sets what is the same for every request.
  @unsafe mutating func setFixed(
    configuration: HTTPClient.Configuration,
    context: UnsafeMutableRawPointer,
    sockets: UnsafeMutableRawPointer
  ) {
    set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1)
    set(CURLOPT_NOSIGNAL, 1)
    set(CURLOPT_TCP_NODELAY, 1)
    set(CURLOPT_TCP_KEEPALIVE, 1)
    set(CURLOPT_FOLLOWLOCATION, 0)
    set(CURLOPT_HTTPAUTH, 0)
    set(CURLOPT_NETRC, Int(CURL_NETRC_IGNORED.rawValue))
    set(CURLOPT_DISALLOW_USERNAME_IN_URL, 1)
    // The path has been checked against the manifest, so the library must not rewrite its dots.
    set(CURLOPT_PATH_AS_IS, 1)
    // Ending a request must not wait for a name lookup that hangs.
    set(CURLOPT_QUICK_EXIT, 1)
    set(CURLOPT_SSL_VERIFYPEER, 1)
    set(CURLOPT_SSL_VERIFYHOST, 2)
    set(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2)
    set(CURLOPT_PROXY, "")
    set(CURLOPT_NOPROXY, "*")
    set(CURLOPT_PROTOCOLS_STR, "http,https")
    set(CURLOPT_ACCEPT_ENCODING, "gzip, deflate")
    set(CURLOPT_USERAGENT, configuration.userAgent)
    if let file = configuration.certificateAuthorities {
      set(CURLOPT_CAINFO, file)
      set(CURLOPT_CAPATH, nil)
    }
    for option in [
      CURLOPT_PRIVATE, CURLOPT_OPENSOCKETDATA, CURLOPT_PREREQDATA, CURLOPT_READDATA, CURLOPT_SEEKDATA,
      CURLOPT_HEADERDATA, CURLOPT_WRITEDATA,
    ] {
      note(unsafe CCurl_setPointer(easy, option, context))
    }
    note(unsafe CCurl_setPointer(easy, CURLOPT_CLOSESOCKETDATA, sockets))
    note(unsafe CCurl_setOpenSocketFunction(easy, openSocket))
    note(unsafe CCurl_setCloseSocketFunction(easy, closeSocket))
    note(unsafe CCurl_setPrerequestFunction(easy, prerequest))
    note(unsafe CCurl_setDataFunction(easy, CURLOPT_READFUNCTION, readBody))
    note(unsafe CCurl_setDataFunction(easy, CURLOPT_HEADERFUNCTION, takeHeader))
    note(unsafe CCurl_setDataFunction(easy, CURLOPT_WRITEFUNCTION, takeBody))
  }

  /// Sets what the request asks for. `bodyLength` is nil for a request without a body, `boundary` for one that is
  /// not multipart.
  mutating func set(_ request: OutgoingRequest, bodyLength: Int64?, boundary: String?) {
    set(CURLOPT_URL, request.url)
    set(CURLOPT_TIMEOUT_MS, Self.milliseconds(request.timeout))
    set(CURLOPT_CONNECTTIMEOUT_MS, Self.milliseconds(request.connectTimeout))
    if let silence = request.silence {
      set(CURLOPT_LOW_SPEED_LIMIT, 1)
      set(CURLOPT_LOW_SPEED_TIME, max(1, Self.milliseconds(silence) / 1_000))
    }
    setBody(request, length: bodyLength)
    for (name, value) in request.headers {
      add(value.isEmpty ? "\(name);" : "\(name): \(value)")
    }
    add("Expect:")
    if let boundary {
      add("Content-Type: multipart/form-data; boundary=\(boundary)")
    } else if !request.headers.contains(where: { $0.0.lowercased() == "content-type" }) {
      // The library would call a body a form by itself.
      add("Content-Type:")
    }
    note(unsafe CCurl_setList(easy, CURLOPT_HTTPHEADER, headers))
  }

  /// Forbids kept connections and sets what is left of the time.
  mutating func setFreshConnection(timeout: Duration) {
    set(CURLOPT_FRESH_CONNECT, 1)
    set(CURLOPT_TIMEOUT_MS, Self.milliseconds(timeout))
  }

  private mutating func setBody(_ request: OutgoingRequest, length: Int64?) {
    if case .repeatable = request.replayPolicy { note(unsafe CCurl_setSeekFunction(easy, seekBody)) }
    switch (request.body, length) {
    case (.none, _) where request.method == "POST" || request.method == "PUT" || request.method == "PATCH":
      setInMemory([])
    case (.bytes(let bytes), _) where bytes.count <= Self.inMemoryLimit:
      setInMemory(bytes)
    case (_, let length?):
      set(CURLOPT_POST, 1)
      note(unsafe CCurl_setOffset(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(length)))
    case (_, nil):
      set(request.method == "HEAD" ? CURLOPT_NOBODY : CURLOPT_HTTPGET, 1)
    }
    set(CURLOPT_CUSTOMREQUEST, request.method)
  }

  /// A body that the library copies and sends in one write with the header.
  private mutating func setInMemory(_ bytes: [UInt8]) {
    set(CURLOPT_POST, 1)
    note(unsafe CCurl_setOffset(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(bytes.count)))
    unsafe bytes.withUnsafeBytes { buffer in
      if let address = buffer.baseAddress {
        note(unsafe CCurl_setPointer(easy, CURLOPT_COPYPOSTFIELDS, address))
      } else {
        set(CURLOPT_COPYPOSTFIELDS, "")
      }
    }
  }

  private static let inMemoryLimit = 64 << 10

  private mutating func add(_ line: String) {
    guard let list = unsafe curl_slist_append(headers, line) else {
      note(CURLE_OUT_OF_MEMORY)
      return
    }
    unsafe headers = list
  }

  private mutating func set(_ option: CURLoption, _ value: Int) {
    note(unsafe CCurl_setLong(easy, option, value))
  }

  private mutating func set(_ option: CURLoption, _ value: String?) {
    note(unsafe CCurl_setString(easy, option, value))
  }

  private mutating func note(_ result: CURLcode) {
    if code == CURLE_OK { code = result }
  }

  /// Whole milliseconds, at least one, at most what the library takes.
  private static func milliseconds(_ duration: Duration) -> Int {
    let (seconds, attoseconds) = duration.components
    let (milliseconds, overflow) = Int(seconds).multipliedReportingOverflow(by: 1_000)
    guard !overflow, milliseconds < Int(Int32.max) - 1_000 else { return Int(Int32.max) - 1 }
    return max(1, milliseconds + Int(attoseconds / 1_000_000_000_000_000))
  }

  /// Bytes of the body that have come over the wire, before decompression.
  @unsafe static func downloaded(of easy: UnsafeMutableRawPointer) -> Int64 {
    var count: curl_off_t = 0
    return unsafe CCurl_getOffset(easy, CURLINFO_SIZE_DOWNLOAD_T, &count) == CURLE_OK ? Int64(count) : 0
  }

  /// Reads the times of the transfer that has just ended on `easy`.
  @unsafe static func timings(of easy: UnsafeMutableRawPointer) -> Timings {
    func time(_ info: CURLINFO) -> Duration {
      var value: curl_off_t = 0
      return unsafe CCurl_getOffset(easy, info, &value) == CURLE_OK ? .microseconds(Int64(value)) : .zero
    }
    var connections = 0
    return Timings(
      nameLookup: time(CURLINFO_NAMELOOKUP_TIME_T),
      connected: time(CURLINFO_CONNECT_TIME_T),
      secured: time(CURLINFO_APPCONNECT_TIME_T),
      firstByte: time(CURLINFO_STARTTRANSFER_TIME_T),
      total: time(CURLINFO_TOTAL_TIME_T),
      reusedConnection: unsafe CCurl_getLong(easy, CURLINFO_NUM_CONNECTS, &connections) == CURLE_OK && connections == 0
    )
  }
}
