import Glibc
import Synchronization

/// A small HTTP server of the tests: takes one request a connection and answers what it is told to.
final class Receiver: Sendable {
  struct Request: Sendable {
    var headers: [String: String]
    var body: [UInt8]
  }

  struct Answer: Sendable {
    var status = 200
    var headers: [String] = []
    var body = ""
  }

  let port: UInt16
  private let listener: Int32
  private let requests = Mutex<[Request]>([])
  private let answer: Mutex<@Sendable (Request, Int) -> Answer>

  init(_ answer: @escaping @Sendable (Request, Int) -> Answer = { _, _ in Answer() }) throws {
    self.answer = Mutex(answer)
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isOpen = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        unsafe bind(descriptor, address, length) == 0 && listen(descriptor, 64) == 0
          && getsockname(descriptor, address, &length) == 0
      }
    }
    struct NoSocket: Error {}
    guard isOpen else { throw NoSocket() }
    listener = descriptor
    port = UInt16(bigEndian: address.sin_port)
  }

  var url: String { "http://127.0.0.1:\(port)/hook?key=of-the-receiver" }

  var received: [Request] { requests.withLock { $0 } }

  func answers(_ body: @escaping @Sendable (Request, Int) -> Answer) { answer.withLock { $0 = body } }

  /// Serves until `stop`; on a thread of its own, because it blocks.
  func start() {
    let thread = ReceiverThread(self)
    thread.run()
  }

  func stop() {
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
  }

  fileprivate func serve() {
    while true {
      let connection = accept(listener, nil, nil)
      if connection < 0 { return }
      if let request = read(connection) {
        let count = requests.withLock { requests in
          requests.append(request)
          return requests.count
        }
        let answer = answer.withLock { $0 }(request, count)
        let lines = ["HTTP/1.1 \(answer.status) X", "Content-Length: \(answer.body.utf8.count)", "Connection: close"]
        let text = (lines + answer.headers).joined(separator: "\r\n") + "\r\n\r\n" + answer.body
        let bytes = Array(text.utf8)
        _ = unsafe send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
      }
      shutdown(connection, Int32(SHUT_WR))
      close(connection)
    }
  }

  private func read(_ connection: Int32) -> Request? {
    var bytes: [UInt8] = []
    while true {
      if let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) {
        let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
        var headers: [String: String] = [:]
        for line in head.dropFirst() {
          let parts = line.split(separator: ":", maxSplits: 1)
          if parts.count == 2 { headers[parts[0].lowercased()] = String(parts[1].drop { $0 == " " }) }
        }
        let length = Int(headers["content-length"] ?? "0") ?? 0
        if bytes.count - end.upperBound >= length {
          return Request(headers: headers, body: Array(bytes[end.upperBound..<end.upperBound + length]))
        }
      }
      var buffer = [UInt8](repeating: 0, count: 16_384)
      let count = unsafe recv(connection, &buffer, buffer.count, 0)
      if count <= 0 { return nil }
      bytes += buffer[..<count]
    }
  }
}

/// Runs a receiver on a thread.
private final class ReceiverThread: Sendable {
  private let receiver: Receiver

  init(_ receiver: Receiver) {
    self.receiver = receiver
  }

  func run() {
    var thread = pthread_t()
    let context = unsafe Unmanaged.passRetained(self).toOpaque()
    _ = unsafe pthread_create(&thread, nil, receiverMain, context)
    pthread_detach(thread)
  }

  fileprivate func serve() { receiver.serve() }
}

private func receiverMain(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  if let context = unsafe context {
    unsafe Unmanaged<ReceiverThread>.fromOpaque(context).takeRetainedValue().serve()
  }
  return nil
}
