import Glibc

@testable import SandboxKit

/// One TCP connection with blocking calls: it sees exactly what came, and how the connection ended.
final class RawClient {
  enum End: Equatable {
    /// An orderly end.
    case closed
    /// A reset (RST).
    case reset
    case error(Int32)
  }

  struct Failure: Error {
    let what: String
  }

  struct Response {
    let status: Int
    let headers: [String: String]
    let body: [UInt8]
    /// The connection ended before the promised length.
    var end: End?

    var text: String { String(decoding: body, as: UTF8.self) }

    func json() throws -> JSON { try JSONParser.parse(body) }
  }

  private let descriptor: Int32
  private var buffer: [UInt8] = []

  init(port: UInt16) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    // A lost answer must fail the test, not hang it.
    var limit = timeval(tv_sec: 20, tv_usec: 0)
    _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe connect(descriptor, $0, size) }
    }
    guard status == 0 else { throw Failure(what: "connect: \(errno)") }
  }

  deinit {
    close(descriptor)
  }

  func send(_ text: String) throws {
    try send(Array(text.utf8))
  }

  func send(_ bytes: [UInt8]) throws {
    var sent = 0
    while sent < bytes.count {
      let count = unsafe bytes[sent...].withUnsafeBytes {
        unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { throw Failure(what: "send: \(errno)") }
      sent += count
    }
  }

  /// More bytes into the buffer; the way the connection ended, if it did.
  private func fill() -> End? {
    var chunk = [UInt8](repeating: 0, count: 64 * 1024)
    let count = unsafe chunk.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, $0.count, 0) }
    if count > 0 {
      buffer += chunk[..<count]
      return nil
    }
    return count == 0 ? .closed : errno == ECONNRESET ? .reset : .error(errno)
  }

  /// Waits until the connection ends and tells how.
  func waitForEnd() -> End {
    while true {
      if let end = fill() { return end }
    }
  }

  func receive() throws -> Response {
    let marker = Array("\r\n\r\n".utf8)
    while buffer.firstIndex(of: marker, from: 0) == nil {
      if let end = fill() { throw Failure(what: "the connection ended without an answer: \(end)") }
    }
    guard let headEnd = buffer.firstIndex(of: marker, from: 0) else { throw Failure(what: "no head") }
    let lines = String(decoding: buffer[..<headEnd], as: UTF8.self).split(separator: "\r\n").map(String.init)
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":") else { throw Failure(what: "bad header \(line)") }
      headers[String(line[..<colon])] = line[line.index(after: colon)...].trimmingSpaces()
    }
    guard let status = lines.first.flatMap({ Int($0.split(separator: " ")[1]) }) else {
      throw Failure(what: "no status")
    }
    buffer.removeFirst(headEnd + 4)
    let length = status == 100 ? 0 : Int(headers["content-length"] ?? "") ?? 0
    var end: End?
    while buffer.count < length {
      end = fill()
      if end != nil { break }
    }
    let body = Array(buffer.prefix(length))
    buffer.removeFirst(body.count)
    return Response(status: status, headers: headers, body: body, end: end)
  }

  // MARK: Requests

  func sendRequest(
    _ method: String,
    _ target: String,
    headers: [(String, String)] = [],
    body: [UInt8]? = nil
  ) throws {
    var head = "\(method) \(target) HTTP/1.1\r\nhost: sandbox\r\n"
    for (name, value) in headers { head += "\(name): \(value)\r\n" }
    if let body { head += "content-length: \(body.count)\r\n" }
    try send(Array("\(head)\r\n".utf8) + (body ?? []))
  }

  func request(
    _ method: String,
    _ target: String,
    headers: [(String, String)] = [],
    body: [UInt8]? = nil
  ) throws -> Response {
    try sendRequest(method, target, headers: headers, body: body)
    return try receive()
  }
}
