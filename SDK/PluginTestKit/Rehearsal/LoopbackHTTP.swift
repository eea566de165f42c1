import Glibc
import PluginTransport

/// The smallest HTTP/1.1 client that a sandbox on this machine needs: one request, one connection, no encryption.
enum LoopbackHTTP {
  /// A whole answer.
  struct Response: Sendable {
    let status: Int
    /// Names are in lower case.
    let headers: [String: String]
    let body: [UInt8]
  }

  /// Why there is no whole answer.
  enum Failure: Error, Sendable {
    /// Nothing was sent.
    case unreachable
    /// The request was sent, at least in part.
    case noAnswer
  }

  private static let maximumBytes = 4 * 1_048_576

  /// Sends a request on a thread of its own and waits for the end of the connection.
  static func perform(port: UInt16, head: String, body: [UInt8]) async -> Result<Response, Failure> {
    await withCheckedContinuation { continuation in
      let started = LastingThread.start {
        continuation.resume(returning: exchange(port: port, head: head, body: body))
      }
      if !started { continuation.resume(returning: .failure(.unreachable)) }
    }
  }

  private static func exchange(port: UInt16, head: String, body: [UInt8]) -> Result<Response, Failure> {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return .failure(.unreachable) }
    defer { close(descriptor) }
    var limit = timeval(tv_sec: 30, tv_usec: 0)
    _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe connect(descriptor, $0, size) }
    }
    guard status == 0 else { return .failure(.unreachable) }
    let message = Array(head.utf8) + body
    var sent = 0
    while sent < message.count {
      let count = unsafe message[sent...].withUnsafeBytes {
        unsafe send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return .failure(.noAnswer) }
      sent += count
    }
    return read(descriptor)
  }

  private static func read(_ descriptor: Int32) -> Result<Response, Failure> {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while bytes.count <= maximumBytes {
      let count = unsafe chunk.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, $0.count, 0) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { return .failure(.noAnswer) }
      if count == 0 { break }
      bytes += chunk[..<count]
    }
    return parse(bytes)
  }

  private static func parse(_ bytes: [UInt8]) -> Result<Response, Failure> {
    let marker: [UInt8] = [13, 10, 13, 10]
    guard let end = bytes.indices.dropLast(3).first(where: { bytes[$0...].starts(with: marker) }) else {
      return .failure(.noAnswer)
    }
    let lines = String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\r\n")
    let words = lines.first?.split(separator: " ") ?? []
    guard words.count >= 2, let status = Int(words[1]) else { return .failure(.noAnswer) }
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":") else { continue }
      headers[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].drop { $0 == " " })
    }
    let body = Array(bytes[(end + 4)...])
    // A sandbox always says how long its answer is; less of it is no answer.
    if let length = headers["content-length"].flatMap({ Int($0) }), length != body.count { return .failure(.noAnswer) }
    return .success(Response(status: status, headers: headers, body: body))
  }
}
