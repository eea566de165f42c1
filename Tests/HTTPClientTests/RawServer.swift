import Foundation
import Glibc
import Synchronization

/// A server that does with each connection exactly what a test says, on blocking threads of its own.
final class RawServer: Sendable {
  let port: UInt16
  private let listener: Int32
  private let state = Mutex(State())

  private struct State {
    var requests: [RawRequest] = []
    var connections = 0
    var open: [Int32] = []
    var closed = false
  }

  /// Listens on a free port of the loopback address and runs `handler` for each connection, counted from 0.
  init(_ handler: @escaping @Sendable (RawConnection, Int) -> Void) throws {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = unsafe inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        unsafe bind(listener, pointer, length) == 0 && listen(listener, 1_024) == 0
          && getsockname(listener, pointer, &length) == 0
      }
    }
    guard bound else { throw RawServerError() }
    port = UInt16(bigEndian: address.sin_port)
    self.listener = listener
    Thread.detachNewThread { [weak self] in
      // Closed here alone: a number that another closed may already belong to the server of another test.
      defer { _ = Glibc.close(listener) }
      while true {
        let descriptor = accept(listener, nil, nil)
        guard descriptor >= 0 else { return }
        // Other tests start programs, which must not hold this connection open.
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        guard let self, let number = self.opened(descriptor) else {
          _ = Glibc.close(descriptor)
          return
        }
        Thread.detachNewThread {
          let connection = RawConnection(descriptor: descriptor) { [weak self] request in
            self?.state.withLock { $0.requests.append(request) }
          }
          handler(connection, number)
          self.closing(descriptor)
          connection.close()
        }
      }
    }
  }

  deinit { stop() }

  /// Ends the accept thread and every open connection.
  func stop() {
    let open: [Int32]? = state.withLock { state in
      defer { state.closed = true }
      return state.closed ? nil : state.open
    }
    guard let open else { return }
    for descriptor in open { _ = Glibc.shutdown(descriptor, Int32(SHUT_RDWR)) }
    _ = Glibc.shutdown(listener, Int32(SHUT_RDWR))
  }

  var url: String { "http://127.0.0.1:\(port)" }
  var requests: [RawRequest] { state.withLock { $0.requests } }
  var connections: Int { state.withLock { $0.connections } }

  private func opened(_ descriptor: Int32) -> Int? {
    state.withLock { state in
      guard !state.closed else { return nil }
      state.open.append(descriptor)
      state.connections += 1
      return state.connections - 1
    }
  }

  private func closing(_ descriptor: Int32) {
    state.withLock { $0.open.removeAll { $0 == descriptor } }
  }
}

struct RawServerError: Error {}

/// A request as it came over the wire.
struct RawRequest: Sendable {
  var head: String
  var body: [UInt8]

  var line: String { head.split(separator: "\r\n").first.map(String.init) ?? "" }

  func header(_ name: String) -> String? {
    for line in head.split(separator: "\r\n").dropFirst() {
      let parts = line.split(separator: ":", maxSplits: 1)
      if parts.first?.lowercased() == name { return parts.last.map { String($0.drop { $0 == " " }) } }
    }
    return nil
  }
}

/// One accepted connection; used on its own thread only.
final class RawConnection {
  private var descriptor: Int32
  private var pending: [UInt8] = []
  private var isReset = false
  private let record: (RawRequest) -> Void

  init(descriptor: Int32, record: @escaping (RawRequest) -> Void) {
    self.descriptor = descriptor
    self.record = record
  }

  /// Reads up to the blank line; nil at the end of the connection.
  func readHead() -> String? {
    while true {
      if let end = pending.firstRange(of: Array("\r\n\r\n".utf8)) {
        let head = String(decoding: pending[..<end.upperBound], as: UTF8.self)
        pending.removeFirst(end.upperBound)
        return head
      }
      guard receive() else { return nil }
    }
  }

  /// Reads a whole request, its body by `Content-Length`, and notes it; nil at the end of the connection.
  func readRequest() -> RawRequest? {
    guard let head = readHead() else { return nil }
    var request = RawRequest(head: head, body: [])
    let length = request.header("content-length").flatMap { Int($0) } ?? 0
    guard let body = read(length) else { return nil }
    request.body = body
    record(request)
    return request
  }

  /// Reads exactly `count` bytes; nil if the connection ends before.
  func read(_ count: Int) -> [UInt8]? {
    while pending.count < count {
      guard receive() else { return nil }
    }
    defer { pending.removeFirst(count) }
    return Array(pending[..<count])
  }

  /// Waits until the client has sent something, without reading it.
  func waitForBytes() {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    unsafe poll(&entry, 1, 10_000)
  }

  /// Waits until the client has closed the connection, throwing away what it sends.
  func waitForEnd() {
    while receive() { pending = [] }
  }

  func send(_ text: String) { send(Array(text.utf8)) }

  func send(_ bytes: [UInt8]) {
    var offset = 0
    while offset < bytes.count {
      let count = unsafe bytes[offset...].withUnsafeBytes {
        unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return }
      offset += count
    }
  }

  /// Sends a complete answer.
  func answer(_ status: String, headers: [String] = [], body: String = "") {
    let lines = ["HTTP/1.1 \(status)", "Content-Length: \(body.utf8.count)"] + headers
    send(lines.joined(separator: "\r\n") + "\r\n\r\n" + body)
  }

  /// Ends the sending direction only.
  func halfClose() { _ = Glibc.shutdown(descriptor, Int32(SHUT_WR)) }

  /// Ends the connection with RST.
  func reset() {
    isReset = true
    var option = linger(l_onoff: 1, l_linger: 0)
    unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    close()
  }

  func close() {
    guard descriptor >= 0 else { return }
    if !isReset { _ = Glibc.shutdown(descriptor, Int32(SHUT_RDWR)) }
    _ = Glibc.close(descriptor)
    descriptor = -1
  }

  private func receive() -> Bool {
    guard descriptor >= 0 else { return false }
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
    guard count > 0 else { return false }
    pending.append(contentsOf: buffer[..<count])
    return true
  }
}
