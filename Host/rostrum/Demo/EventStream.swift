import Dispatch
import Glibc
import JSONDocument
import Processes

/// Reads server-sent events from a host on this machine.
///
/// The outgoing HTTP client takes whole answers, and this answer has no end; so it is read from a socket here.
struct EventStream: Sendable {
  struct Event: Sendable {
    let kind: String
    let data: JSONValue
  }

  private let socket: OwnedDescriptor
  let events: AsyncStream<Event>

  /// Connects and asks for the events; returns once the host has begun to answer.
  init(port: UInt16, path: String, token: String) async throws {
    let socket = try Self.connect(port)
    self.socket = socket
    let request =
      "GET \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nAccept: text/event-stream\r\n"
      + "Authorization: Bearer \(token)\r\n\r\n"
    guard socket.write(Array(request.utf8)) == request.utf8.count else {
      throw CommandError(.failure, "The host did not take the request for events")
    }
    let (stream, continuation) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .bufferingNewest(10_000))
    events = stream
    let begun: Bool = await withCheckedContinuation { begun in
      DispatchQueue(label: "events").async {
        var reader = EventReader()
        var isBegun = false
        while let bytes = Self.read(socket) {
          let events = reader.take(bytes)
          if !isBegun, let status = reader.status {
            isBegun = true
            begun.resume(returning: status == 200)
          }
          for event in events { continuation.yield(event) }
        }
        if !isBegun { begun.resume(returning: false) }
        continuation.finish()
      }
    }
    guard begun else { throw CommandError(.failure, "The host refused the request for events") }
  }

  /// Ends the stream.
  func close() {
    // Wakes the reader, which then closes its side; closing alone would leave it waiting.
    if let descriptor = socket.rawValue { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }
  }

  private static func connect(_ port: UInt16) throws(CommandError) -> OwnedDescriptor {
    let opened = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard opened >= 0 else { throw CommandError(.failure, "No socket could be opened (error \(errno))") }
    let descriptor = OwnedDescriptor(adopting: opened)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let result = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        unsafe Glibc.connect(opened, pointer, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0 else { throw CommandError(.failure, "The host does not answer on port \(port)") }
    return descriptor
  }

  private static func read(_ socket: OwnedDescriptor) -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: 16_384)
    while let descriptor = socket.rawValue {
      let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
      if count > 0 { return Array(buffer[..<count]) }
      if count == 0 || errno != EINTR { return nil }
    }
    return nil
  }
}
