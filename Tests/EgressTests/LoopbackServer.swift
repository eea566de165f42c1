import Foundation
import Glibc
import Synchronization

/// A real HTTP/1.1 server on 127.0.0.1 whose behaviour a test decides request by request.
final class LoopbackServer: Sendable {
  struct Request: Sendable {
    let method: String
    let target: String
    /// Names in lower case.
    let headers: [String: String]
    let body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }
  }

  enum Reaction: Sendable {
    case answer(Int, headers: [String: String] = [:], body: String = "")
    /// Hangs up after the request was read.
    case hangUp
    /// Sends part of an answer and hangs up.
    case cutAnswer(Int)
    /// Sends these bytes one after the other, as they are, and hangs up.
    case raw([[UInt8]])
    /// Sends an event stream piece by piece; waits for the gate between pieces, if there is one, and hangs up.
    case events([String], gate: Gate? = nil)
    /// Sends an event over and over until the client goes away; counts the bytes.
    case endless(event: String, Sent)
  }

  let port: Int
  private let listener: Int32
  private let received = Mutex<[Request]>([])
  private let react: @Sendable (Request) -> Reaction

  /// Listens on a free port and answers until it is released or stopped.
  init(_ react: @escaping @Sendable (Request) -> Reaction) throws {
    self.react = react
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        unsafe bind(descriptor, address, length) == 0 && listen(descriptor, 64) == 0
          && getsockname(descriptor, address, &length) == 0
      }
    }
    guard status else { throw Failure() }
    listener = descriptor
    port = Int(UInt16(bigEndian: address.sin_port))
    let accepting = descriptor
    // Threads of their own, because a blocked worker of a dispatch queue is replaced only after a second.
    Thread.detachNewThread { [weak self] in
      while true {
        let client = accept(accepting, nil, nil)
        guard client >= 0 else { return }
        guard let server = self else {
          close(client)
          return
        }
        Thread.detachNewThread { server.serve(client) }
      }
    }
  }

  struct Failure: Error {}

  deinit {
    stop()
  }

  /// Refuses further connections.
  func stop() {
    shutdown(listener, Int32(SHUT_RDWR))
  }

  /// Everything read so far.
  var requests: [Request] { received.withLock { $0 } }

  private func serve(_ client: Int32) {
    defer { close(client) }
    var buffer: [UInt8] = []
    while let request = next(client, &buffer) {
      received.withLock { $0.append(request) }
      switch react(request) {
      case .raw(let pieces):
        for piece in pieces where !write(client, piece) { return }
        return
      case .events(let pieces, let gate):
        write(client, "HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for piece in pieces {
          gate?.wait()
          write(client, piece)
        }
        return
      case .endless(let event, let sent):
        write(client, "HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        let bytes = Array(event.utf8)
        while write(client, bytes) { sent.add(bytes.count) }
        sent.end()
        return
      case .hangUp: return
      case .cutAnswer(let status):
        write(client, "HTTP/1.1 \(status) X\r\ncontent-length: 100\r\n\r\n{\"data\":")
        return
      case .answer(let status, let headers, let body):
        var head = "HTTP/1.1 \(status) X\r\ncontent-length: \(body.utf8.count)\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        write(client, head + "\r\n" + body)
      }
    }
  }

  private func next(_ client: Int32, _ buffer: inout [UInt8]) -> Request? {
    while true {
      if let (request, length) = parse(buffer) {
        buffer.removeFirst(length)
        return request
      }
      var chunk = [UInt8](repeating: 0, count: 65_536)
      let count = unsafe recv(client, &chunk, chunk.count, 0)
      guard count > 0 else { return nil }
      buffer += chunk[..<count]
    }
  }

  private func parse(_ buffer: [UInt8]) -> (Request, Int)? {
    guard let end = buffer.indices.first(where: { buffer[$0...].starts(with: "\r\n\r\n".utf8) }) else { return nil }
    let lines = String(decoding: buffer[..<end], as: UTF8.self).split(separator: "\r\n")
    let first = lines[0].split(separator: " ")
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      headers[parts[0].lowercased()] = String(parts[1].drop { $0 == " " })
    }
    let length = Int(headers["content-length"] ?? "0") ?? 0
    guard buffer.count >= end + 4 + length else { return nil }
    let body = Array(buffer[(end + 4)..<(end + 4 + length)])
    return (
      Request(method: String(first[0]), target: String(first[1]), headers: headers, body: body), end + 4 + length
    )
  }

  private func write(_ client: Int32, _ text: String) {
    _ = write(client, Array(text.utf8))
  }

  private func write(_ client: Int32, _ bytes: [UInt8]) -> Bool {
    var sent = 0
    while sent < bytes.count {
      let count = unsafe bytes.withUnsafeBytes { buffer in
        unsafe send(client, buffer.baseAddress?.advanced(by: sent), buffer.count - sent, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return false }
      sent += count
    }
    return true
  }
}

/// A gate between a server's thread, which blocks, and a test, which opens it.
final class Gate: Sendable {
  private let semaphore = DispatchSemaphore(value: 0)

  func open() { semaphore.signal() }

  /// Blocks the calling thread, at most ten seconds.
  func wait() { _ = semaphore.wait(timeout: .now() + 10) }
}

/// What an endless answer has sent, and that its client went away.
final class Sent: Sendable {
  private let bytes = Mutex(0)
  private let stream: AsyncStream<Void>
  private let continuation: AsyncStream<Void>.Continuation

  init() {
    (stream, continuation) = AsyncStream.makeStream()
  }

  func add(_ count: Int) { bytes.withLock { $0 += count } }
  func end() { continuation.yield() }
  var count: Int { bytes.withLock { $0 } }

  func ended() async {
    for await _ in stream { return }
  }
}
