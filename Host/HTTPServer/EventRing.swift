/// A place between two events of one channel.
package struct EventPosition: Sendable, Equatable {
  let chunk: UInt64
  let offset: Int
}

/// The events of one channel that can still be sent: closed chunks of joined events, and one that is still open.
///
/// The open chunk is not readable yet, but positions inside it are valid and stay valid when it closes.
struct EventRing {
  private struct Chunk {
    let bytes: [UInt8]
    let ids: [String]
  }

  enum Reading: Equatable {
    case bytes(Int)
    case nothing
    /// The position is no longer held; the ring's end has taken its place.
    case gap
  }

  private let capacity: Int
  private var chunks: [Chunk] = []
  private var firstChunk: UInt64 = 0
  private var heldBytes = 0
  private var open: [UInt8] = []
  private var openIDs: [String] = []
  private var positions: [String: EventPosition] = [:]

  /// - Parameter capacity: Bytes of closed chunks to hold; the newest chunk is held in any case.
  init(capacity: Int) { self.capacity = capacity }

  /// The place after all events, those of the open chunk included.
  var end: EventPosition { EventPosition(chunk: firstChunk + UInt64(chunks.count), offset: open.count) }

  var hasOpenEvents: Bool { !open.isEmpty }

  /// The place after the event with this id; nil when it is not held.
  func position(after id: String) -> EventPosition? {
    guard let position = positions[id] else { return nil }
    // The end of a closed chunk is the beginning of the next one, which is held longer.
    guard position.chunk - firstChunk < UInt64(chunks.count),
      chunks[Int(position.chunk - firstChunk)].bytes.count == position.offset
    else { return position }
    return EventPosition(chunk: position.chunk + 1, offset: 0)
  }

  mutating func append(_ event: ServerSentEvent) {
    open.append(contentsOf: event.encoded)
    guard let id = event.id else { return }
    openIDs.append(id)
    positions[id] = end
  }

  /// Closes the open chunk and drops the oldest ones beyond the capacity.
  mutating func close() {
    guard !open.isEmpty else { return }
    heldBytes += open.count
    chunks.append(Chunk(bytes: open, ids: openIDs))
    open = []
    openIDs = []
    var dropped = 0
    while heldBytes > capacity, dropped < chunks.count - 1 {
      heldBytes -= chunks[dropped].bytes.count
      for id in chunks[dropped].ids where positions[id]?.chunk == firstChunk + UInt64(dropped) {
        positions[id] = nil
      }
      dropped += 1
    }
    chunks.removeFirst(dropped)
    firstChunk += UInt64(dropped)
  }

  /// Copies what follows `position` and moves it behind that.
  func read(from position: inout EventPosition, into buffer: UnsafeMutableRawBufferPointer) -> Reading {
    guard position.chunk >= firstChunk else {
      position = end
      return .gap
    }
    var written = 0
    while written < buffer.count, position.chunk - firstChunk < UInt64(chunks.count) {
      let bytes = chunks[Int(position.chunk - firstChunk)].bytes
      let count = min(bytes.count - position.offset, buffer.count - written)
      unsafe bytes.withUnsafeBytes { source in
        let target = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[written...])
        unsafe target.copyBytes(from: source[position.offset..<(position.offset + count)])
      }
      written += count
      let offset = position.offset + count
      position =
        offset == bytes.count
        ? EventPosition(chunk: position.chunk + 1, offset: 0) : EventPosition(chunk: position.chunk, offset: offset)
    }
    return written > 0 ? .bytes(written) : .nothing
  }
}
