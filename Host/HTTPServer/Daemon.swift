internal import CMicroHTTPD
internal import Dispatch
internal import Glibc

/// The running library: one thread that does all socket work.
@safe struct Daemon: @unchecked Sendable {  // the library's start, quiesce and stop may run on any thread
  private let pointer: OpaquePointer
  private let core: ServerCore

  init(_ core: ServerCore, _ socket: ListenSocket) throws(HTTPServerError) {
    let configuration = core.configuration
    // Half of the pool is for reading; what does not fit is refused by the library itself with a 431.
    let memory = max(32 << 10, configuration.maximumHeaderBytes * 2 + (8 << 10))
    let started = unsafe CMicroHTTPD_start(
      socket.descriptor,
      Unmanaged.passUnretained(core).toOpaque(),
      handleAccess,
      handleRequestLine,
      handleCompletion,
      handleConnection,
      keepEscapes,
      memory,
      UInt32(clamping: configuration.maximumConnections)
    )
    guard let started = unsafe started else {
      close(socket.descriptor)
      throw HTTPServerError(description: "Cannot start the HTTP server on port \(socket.port)")
    }
    unsafe pointer = unsafe started
    self.core = core
  }

  /// Stops accepting connections.
  func quiesce() {
    let descriptor = unsafe MHD_quiesce_daemon(pointer)
    guard descriptor >= 0 else { return }
    // A child that is being started at this moment holds a copy, and clients of a listening copy would wait in vain;
    // shutting down works on all copies.
    _ = shutdown(descriptor, Int32(SHUT_RDWR))
    close(descriptor)
  }

  /// Closes everything and ends the thread; no connection may be suspended.
  func stop() async {
    await withCheckedContinuation { continuation in
      // Stopping joins a thread, which must not hold a cooperative one.
      DispatchQueue(label: "http-stop").async {
        unsafe MHD_stop_daemon(pointer)
        // The library used the core without owning it until here.
        withExtendedLifetime(core) { continuation.resume() }
      }
    }
  }
}

// MARK: Callbacks, all on the library's thread

private func handleAccess(
  _ context: UnsafeMutableRawPointer?,
  _ connection: OpaquePointer?,
  _ url: UnsafePointer<CChar>?,
  _ method: UnsafePointer<CChar>?,
  _ version: UnsafePointer<CChar>?,
  _ data: UnsafePointer<CChar>?,
  _ size: UnsafeMutablePointer<Int>?,
  _ request: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> MHD_Result {
  guard let context = unsafe context, let pointer = unsafe connection, let method = unsafe method,
    let version = unsafe version,
    let size = unsafe size, let request = unsafe request
  else { return .NO }
  let handle = unsafe ConnectionHandle(pointer)
  let step: Exchange.Step
  if let existing = unsafe request.pointee {
    let exchange = unsafe Unmanaged<Exchange>.fromOpaque(existing).takeUnretainedValue()
    if unsafe size.pointee > 0 {
      let result = unsafe exchange.receive(UnsafeRawBufferPointer(start: data, count: size.pointee))
      if result.isTaken { unsafe size.pointee = 0 }
      step = result.step
    } else {
      step = exchange.proceed()
    }
  } else {
    let core = unsafe Unmanaged<ServerCore>.fromOpaque(context).takeUnretainedValue()
    guard let box = unsafe CMicroHTTPD_socketContext(pointer) else { return .NO }
    let connection = unsafe Unmanaged<Connection>.fromOpaque(box).takeUnretainedValue()
    let (method, version) = unsafe (String(cString: method), String(cString: version))
    guard let exchange = core.makeExchange(connection, handle, method: method, version: version) else { return .NO }
    unsafe request.pointee = Unmanaged.passRetained(exchange).toOpaque()
    step = exchange.begin()
  }
  switch step {
  case .wait: return .YES
  case .answer(let response): return handle.queue(response) ? .YES : .NO
  case .close: return .NO
  }
}

private func handleRequestLine(
  _ context: UnsafeMutableRawPointer?,
  _ target: UnsafePointer<CChar>?,
  _ connection: OpaquePointer?
) -> UnsafeMutableRawPointer? {
  guard let context = unsafe context, let target = unsafe target, let pointer = unsafe connection,
    let box = unsafe CMicroHTTPD_socketContext(pointer)
  else { return nil }
  let core = unsafe Unmanaged<ServerCore>.fromOpaque(context).takeUnretainedValue()
  let connection = unsafe Unmanaged<Connection>.fromOpaque(box).takeUnretainedValue()
  core.requestLineCame(connection, target: unsafe String(cString: target))
  return nil
}

private func handleCompletion(
  _ context: UnsafeMutableRawPointer?,
  _ connection: OpaquePointer?,
  _ request: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
  _ reason: MHD_RequestTerminationCode
) {
  guard let request = unsafe request, let existing = unsafe request.pointee else { return }
  unsafe request.pointee = nil
  let exchange = unsafe Unmanaged<Exchange>.fromOpaque(existing).takeRetainedValue()
  switch reason {
  case .REQUEST_TERMINATED_COMPLETED_OK: exchange.over(.completed)
  case .REQUEST_TERMINATED_DAEMON_SHUTDOWN: exchange.over(.stopped)
  case .REQUEST_TERMINATED_CLIENT_ABORT, .REQUEST_TERMINATED_READ_ERROR: exchange.over(.clientGone)
  default: exchange.over(.failed)
  }
}

private func handleConnection(
  _ context: UnsafeMutableRawPointer?,
  _ connection: OpaquePointer?,
  _ socketContext: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
  _ change: MHD_ConnectionNotificationCode
) {
  guard let context = unsafe context, let pointer = unsafe connection, let socketContext = unsafe socketContext else {
    return
  }
  let core = unsafe Unmanaged<ServerCore>.fromOpaque(context).takeUnretainedValue()
  switch change {
  case .CONNECTION_NOTIFY_STARTED:
    let opened = core.connectionOpens(unsafe CMicroHTTPD_descriptor(pointer))
    unsafe socketContext.pointee = Unmanaged.passRetained(opened).toOpaque()
  default:
    guard let box = unsafe socketContext.pointee else { return }
    unsafe socketContext.pointee = nil
    core.connectionCloses(unsafe Unmanaged<Connection>.fromOpaque(box).takeRetainedValue())
  }
}

/// Leaves percent escapes alone: the target is decoded strictly later, and the library's way is lax.
private func keepEscapes(
  _ context: UnsafeMutableRawPointer?,
  _ connection: OpaquePointer?,
  _ text: UnsafeMutablePointer<CChar>?
) -> Int {
  guard let text = unsafe text else { return 0 }
  return unsafe strlen(text)
}
