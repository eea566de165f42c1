internal import Glibc
internal import Synchronization

/// One open TCP connection, with the deadline at which it is cut off.
///
/// The library's own timeout is evaded by a slow trickle, so deadlines are kept here and enforced by the sweep.
final class Connection: Sendable {
  enum Phase: UInt8, AtomicRepresentable {
    /// Between two requests.
    case idle
    /// Header fields are coming.
    case head
    case body
    /// The handler works.
    case handling
    case answering
  }

  private struct State {
    var target = ""
    var exchange: Exchange?
  }

  let descriptor: Int32
  let address: String
  /// Monotonic nanoseconds; 0 means none.
  let deadline: Atomic<UInt64>
  let phase = Atomic<Phase>(.head)
  private let state = Mutex(State())

  init(descriptor: Int32, deadline: UInt64) {
    self.descriptor = descriptor
    self.deadline = Atomic(deadline)
    address = Self.peerAddress(descriptor)
  }

  func enter(_ phase: Phase, deadline: UInt64) {
    self.phase.store(phase, ordering: .relaxed)
    self.deadline.store(deadline, ordering: .relaxed)
  }

  /// The target of the request whose header fields are coming; empty before its request line came.
  var target: String {
    get { state.withLock { $0.target } }
    set { state.withLock { $0.target = newValue } }
  }

  var exchange: Exchange? {
    get { state.withLock { $0.exchange } }
    set {
      // The old one is released outside the lock, for that may run more code.
      let old = state.withLock { state in
        defer {
          state.exchange = newValue
          if newValue == nil { state.target = "" }
        }
        return state.exchange
      }
      _ = old
    }
  }

  /// Ends the connection from outside; the library notices and closes it.
  func cut() { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }

  /// Writes an answer past the library, which is right only while a request still comes in, then cuts.
  func cut(after answer: [UInt8]) {
    _ = unsafe answer.withUnsafeBytes { buffer in
      unsafe send(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
    }
    cut()
  }

  private static func peerAddress(_ descriptor: Int32) -> String {
    var address = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return unsafe withUnsafeMutableBytes(of: &address) { buffer -> String in
      guard let base = unsafe buffer.baseAddress?.assumingMemoryBound(to: sockaddr.self),
        unsafe getpeername(descriptor, base, &length) == 0
      else { return "" }
      return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(NI_MAXHOST)) { text -> String in
        guard let start = text.baseAddress,
          unsafe getnameinfo(base, length, start, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0
        else { return "" }
        let shown = unsafe String(cString: start)
        // An IPv4 client of a socket for both families.
        return shown.hasPrefix("::ffff:") && shown.contains(".") ? String(shown.dropFirst(7)) : shown
      }
    }
  }
}
