import Dispatch
import Glibc
import Testing

/// A client that sends exactly the bytes it is told to, so that tests can misbehave.
final class RawClient: Sendable {
  struct Answer: Sendable {
    let status: Int
    let headers: [String: String]
    let body: [UInt8]
    var text: String { String(decoding: body, as: UTF8.self) }
  }

  struct ConnectionEnded: Error {}

  private let descriptor: Int32
  private let queue = DispatchQueue(label: "client")

  init(port: UInt16) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    // A server that never answers fails the test instead of hanging it.
    var limit = timeval(tv_sec: 20, tv_usec: 0)
    unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let result = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        unsafe connect(descriptor, pointer, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0 else { throw ConnectionEnded() }
  }

  deinit { Glibc.close(descriptor) }

  private func run<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { continuation.resume(with: Result(catching: work)) }
    }
  }

  /// Sends everything; false when the server closed the connection before.
  @discardableResult
  func send(_ bytes: [UInt8]) async throws -> Bool {
    try await run { [descriptor] in
      var sent = 0
      while sent < bytes.count {
        let count = unsafe bytes.withUnsafeBytes { buffer in
          unsafe Glibc.send(
            descriptor,
            buffer.baseAddress?.advanced(by: sent),
            buffer.count - sent,
            Int32(MSG_NOSIGNAL)
          )
        }
        guard count > 0 else { return false }
        sent += count
      }
      return true
    }
  }

  @discardableResult
  func send(_ text: String) async throws -> Bool {
    try await send(Array(text.replacing("\n", with: "\r\n").utf8))
  }

  /// Ends the connection as a program does that exits.
  func leave() async throws {
    try await run { [descriptor] in _ = shutdown(descriptor, Int32(SHUT_RDWR)) }
  }

  /// Says that nothing more follows; answers can still be read.
  func finishSending() async throws {
    try await run { [descriptor] in _ = shutdown(descriptor, Int32(SHUT_WR)) }
  }

  private func receive() throws -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let count = unsafe buffer.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, $0.count, 0) }
    guard count >= 0 else { throw ConnectionEnded() }
    return Array(buffer.prefix(count))
  }

  /// Everything until the server closes.
  func readToEnd() async throws -> [UInt8] {
    try await run { [self] in
      var all: [UInt8] = []
      while let part = try? receive(), !part.isEmpty { all += part }
      return all
    }
  }

  /// Reads until the text holds `marker`.
  func read(until marker: String) async throws -> String {
    try await run { [self] in
      var all: [UInt8] = []
      while true {
        let text = String(decoding: all, as: UTF8.self)
        if text.contains(marker) { return text }
        let part = try receive()
        guard !part.isEmpty else { throw ConnectionEnded() }
        all += part
      }
    }
  }

  /// Reads one answer; the connection stays usable.
  func answer(hasBody: Bool = true) async throws -> Answer {
    try await run { [self] in
      var reader = Reader(receive: receive)
      let head = try reader.line(until: "\r\n\r\n")
      let lines = head.split(separator: "\r\n")
      let status = try #require(lines.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) })
      var headers: [String: String] = [:]
      for line in lines.dropFirst() {
        let parts = line.split(separator: ":", maxSplits: 1)
        headers[parts[0].lowercased()] = String(parts[1].drop { $0 == " " })
      }
      var body: [UInt8] = []
      if !hasBody || status == 204 || status == 304 {
        body = []
      } else if headers["transfer-encoding"] == "chunked" {
        while true {
          let size = try #require(Int(try reader.line(until: "\r\n"), radix: 16))
          body += try reader.bytes(size)
          _ = try reader.bytes(2)
          if size == 0 { break }
        }
      } else if let length = headers["content-length"].flatMap({ Int($0) }) {
        body = try reader.bytes(length)
      }
      // What came of the next answer is not kept, so pipelining tests read by other means.
      try #require(reader.buffer.isEmpty)
      return Answer(status: status, headers: headers, body: body)
    }
  }

  private struct Reader {
    let receive: () throws -> [UInt8]
    var buffer: [UInt8] = []

    init(receive: @escaping () throws -> [UInt8]) { self.receive = receive }

    mutating func fill() throws {
      let part = try receive()
      guard !part.isEmpty else { throw ConnectionEnded() }
      buffer += part
    }

    mutating func line(until marker: String) throws -> String {
      let marker = Array(marker.utf8)
      var from = 0
      while true {
        var index = from
        while index + marker.count <= buffer.count {
          if buffer[index..<(index + marker.count)].elementsEqual(marker) {
            let line = String(decoding: buffer[..<index], as: UTF8.self)
            buffer.removeFirst(index + marker.count)
            return line
          }
          index += 1
        }
        from = max(0, buffer.count - marker.count)
        try fill()
      }
    }

    mutating func bytes(_ count: Int) throws -> [UInt8] {
      while buffer.count < count { try fill() }
      defer { buffer.removeFirst(count) }
      return Array(buffer.prefix(count))
    }
  }
}

extension RawClient {
  /// Opens a connection, sends one request and reads its answer.
  static func request(
    _ port: UInt16,
    _ method: String,
    _ path: String,
    headers: [String] = [],
    body: [UInt8] = []
  ) async throws -> Answer {
    let client = try RawClient(port: port)
    var head = "\(method) \(path) HTTP/1.1\nHost: test\n"
    for header in headers { head += header + "\n" }
    if !body.isEmpty { head += "Content-Length: \(body.count)\n" }
    try await client.send(Array((head + "\n").replacing("\n", with: "\r\n").utf8) + body)
    return try await client.answer(hasBody: method != "HEAD")
  }
}
