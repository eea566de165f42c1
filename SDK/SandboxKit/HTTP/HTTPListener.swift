import Dispatch
import Glibc

/// What to do with a request, including what an honest server never does.
enum Answer: Sendable {
  case respond(HTTPResponse)
  /// Promises the whole body, sends half of it and ends the connection.
  case truncate(HTTPResponse)
  /// Resets the connection without an answer.
  case reset
  /// Resets the connection, then works on the request all the same.
  case resetThen(@Sendable () -> Void)
}

/// A small HTTP/1.1 server: one thread with blocking calls for each connection.
final class HTTPListener: Sendable {
  let port: UInt16
  private let descriptor: Int32
  private let maximumConnections: Int
  private let idleSeconds: Int
  private let stopSignal: StopSignal
  private let handler: @Sendable (HTTPRequest) -> Answer
  private let open = Guarded<Set<Int32>>([])
  private let threads = DispatchGroup()

  /// Binds and listens; `start()` accepts.
  init(
    host: String,
    port: UInt16,
    maximumConnections: Int,
    idleSeconds: Int,
    stopSignal: StopSignal,
    handler: @escaping @Sendable (HTTPRequest) -> Answer
  ) throws(SandboxError) {
    (descriptor, self.port) = try Self.listen(host: host, port: port)
    self.maximumConnections = maximumConnections
    self.idleSeconds = idleSeconds
    self.stopSignal = stopSignal
    self.handler = handler
  }

  func start() throws(SandboxError) {
    threads.enter()
    let started = Thread.start {
      self.acceptLoop()
      self.threads.leave()
    }
    guard started else {
      threads.leave()
      throw SandboxError("the system refused a thread")
    }
  }

  /// Ends every connection and waits for their threads.
  func stop() {
    stopSignal.raise()
    shutdown(descriptor, Int32(SHUT_RDWR))
    // Under the lock, so that no number is used again for something else between look and shutdown.
    open.withLock { for connection in $0 { shutdown(connection, Int32(SHUT_RDWR)) } }
    _ = threads.wait(timeout: .now() + .seconds(5))
    close(descriptor)
  }

  // MARK: Accepting

  private func acceptLoop() {
    while !stopSignal.isRaised {
      let connection = accept(descriptor, nil, nil)
      if connection >= 0 {
        adopt(connection)
      } else if errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS {
        // Waits for a connection to end; asking again at once would burn a core.
        _ = stopSignal.sleep(milliseconds: 20)
      } else if errno != EINTR && errno != ECONNABORTED {
        return
      }
    }
  }

  private func adopt(_ connection: Int32) {
    let isAccepted = open.withLock { open -> Bool in
      guard open.count < maximumConnections, !stopSignal.isRaised else { return false }
      open.insert(connection)
      return true
    }
    guard isAccepted else {
      let socket = Socket(adopting: connection)
      _ = socket.send(HTTPResponse.text(503, "too many connections\n").serialized(date: HTTPDate.now(), closes: true))
      return
    }
    threads.enter()
    let started = Thread.start {
      self.serve(connection)
      self.threads.leave()
    }
    if !started {
      release(Socket(adopting: connection))
      threads.leave()
    }
  }

  private func release(_ socket: consuming Socket) {
    let descriptor = socket.descriptor
    open.withLock { open in
      _ = open.remove(descriptor)
    }
  }

  // MARK: One connection

  private func serve(_ connection: Int32) {
    let socket = Socket(adopting: connection)
    socket.setTimeout(seconds: idleSeconds)
    let afterwards = exchange(socket)
    // Out of the set first: the number may belong to another file as soon as it is closed.
    release(socket)
    afterwards?()
  }

  /// Answers requests until the connection ends; returns work to do after the end.
  private func exchange(_ socket: borrowing Socket) -> (@Sendable () -> Void)? {
    var parser = RequestParser()
    var scratch = [UInt8](repeating: 0, count: 16 * 1024)
    while true {
      switch parser.next() {
      case .needsMore:
        let count = socket.receive(into: &scratch)
        guard count > 0 else { return nil }
        parser.append(scratch[..<count])
      case .wantsContinue:
        guard socket.send(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)) else { return nil }
      case .refused(let status, let reason):
        let response = HTTPResponse.text(status, reason + "\n")
        _ = socket.send(response.serialized(date: HTTPDate.now(), closes: true))
        return nil
      case .request(let request):
        switch handler(request) {
        case .respond(let response):
          let closes = request.closes || stopSignal.isRaised
          let bytes = response.serialized(
            date: HTTPDate.now(),
            closes: closes,
            withoutBody: request.method == "HEAD"
          )
          guard socket.send(bytes), !closes else { return nil }
        case .truncate(let response):
          let bytes = response.serialized(date: HTTPDate.now(), closes: false)
          _ = socket.send(Array(bytes.dropLast(max(1, response.body.count / 2))))
          return nil
        case .reset:
          socket.resetOnClose()
          return nil
        case .resetThen(let work):
          socket.resetOnClose()
          return work
        }
      }
    }
  }

  // MARK: Listening

  private static func listen(host: String, port: UInt16) throws(SandboxError) -> (Int32, UInt16) {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    guard unsafe inet_pton(AF_INET, host, &address.sin_addr) == 1 else {
      throw SandboxError("\(host) is not an IPv4 address")
    }
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw SandboxError("no socket: error \(errno)") }
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    var one: Int32 = 1
    _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
        unsafe bind(descriptor, generic, size) == 0 && Glibc.listen(descriptor, 1024) == 0
          && getsockname(descriptor, generic, &size) == 0
      }
    }
    guard bound else {
      let reason = errno
      close(descriptor)
      throw SandboxError("cannot listen on \(host):\(port): error \(reason)")
    }
    return (descriptor, UInt16(bigEndian: address.sin_port))
  }
}
