internal import Synchronization

/// One client that follows a channel.
///
/// While it is idle its connection is suspended, so nothing ends it but a resume.
final class EventClient: AnswerStream {
  struct Guarded {
    var position: EventPosition
    var prelude: ArraySlice<UInt8>
    var isIdle = false
    var isEnding = false
    var owesComment = false
    var lastSent: UInt64

    mutating func takePrelude(into buffer: UnsafeMutableRawBufferPointer) -> Int {
      let part = prelude.prefix(buffer.count)
      unsafe buffer.copyBytes(from: part)
      prelude = prelude.dropFirst(part.count)
      return part.count
    }
  }

  let channel: EventChannel
  private let handle: ConnectionHandle
  private let connection: Connection
  private let silence: UInt64

  /// Read and written under the channel's lock only, which the compiler cannot see.
  @safe nonisolated(unsafe) var guarded: Guarded

  /// - Parameter silence: Nanoseconds without progress after which the client counts as stuck.
  init(_ subscription: EventSubscription, handle: ConnectionHandle, connection: Connection, silence: UInt64) {
    channel = subscription.channel
    self.handle = handle
    self.connection = connection
    self.silence = silence
    guarded = Guarded(
      position: subscription.position,
      // The first bytes tell the client at once that the stream is open.
      prelude: [UInt8](":\n\n".utf8) + subscription.prelude.flatMap(\.encoded)[...],
      lastSent: Monotonic.now
    )
  }

  func suspend() { handle.suspend() }

  func resume() { handle.resume() }

  func end() { channel.end(self) }

  func read(into buffer: UnsafeMutableRawBufferPointer) -> AnswerReading {
    let now = Monotonic.now
    connection.deadline.store(now + silence, ordering: .relaxed)
    switch unsafe channel.read(self, into: buffer, now: now) {
    case .bytes(let count): return .bytes(count)
    case .suspended: return .suspended
    case .end: return .end
    }
  }

  func released() {}
}
