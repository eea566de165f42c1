public import JSONText

/// Cuts a byte stream into frames: one JSON object a line.
///
/// Pure: bytes in, events out. Each byte is looked at once, whatever the size of the chunks, and no more than the cap is
/// ever kept, so a line without an end costs neither time nor memory.
public struct FrameReader: Sendable {
  /// What was found.
  public enum Event: Sendable, Equatable {
    /// A line that is a JSON object, checked.
    case frame(RawJSON)
    /// A line that does not begin with `{`: something else wrote to the stream. Holds the line's first bytes.
    case stray(prefix: [UInt8])
    /// A line that begins with `{` and is not JSON: a message may be lost.
    case malformed(JSONTextError)
    /// A line is longer than the cap; the stream is useless from here on and nothing more is reported.
    case overflow(limit: Int)
  }

  /// Most bytes of a frame unless agreed otherwise: 1 MiB.
  public static let defaultMaximumFrameBytes = 1_048_576
  /// Bytes of a stray line that are kept for the log.
  public static let strayPrefixBytes = 256

  private let maximumFrameBytes: Int
  private var pending: [UInt8] = []
  private var overflowed = false

  /// Makes a reader; a frame may hold `maximumFrameBytes`, the line feed not counted.
  public init(maximumFrameBytes: Int = FrameReader.defaultMaximumFrameBytes) {
    self.maximumFrameBytes = maximumFrameBytes
  }

  /// Bytes of a line whose end has not come.
  public var pendingBytes: Int { pending.count }

  /// Takes the next bytes of the stream and reports each line that ends in them.
  public mutating func consume(_ bytes: Span<UInt8>, _ emit: (Event) -> Void) {
    var start = 0
    var index = 0
    while index < bytes.count, !overflowed {
      if bytes[index] == 0x0A {
        line(bytes, start..<index, emit)
        start = index + 1
      }
      index += 1
    }
    guard !overflowed, start < bytes.count else { return }
    keep(bytes, start..<bytes.count, emit)
  }

  /// Takes the next bytes of the stream.
  public mutating func consume(_ bytes: [UInt8], _ emit: (Event) -> Void) {
    consume(bytes.span, emit)
  }

  private mutating func line(_ bytes: Span<UInt8>, _ range: Range<Int>, _ emit: (Event) -> Void) {
    guard !pending.isEmpty else {
      guard range.count <= maximumFrameBytes else { return overflow(emit) }
      emit(Self.event(Self.copy(bytes, range)))
      return
    }
    keep(bytes, range, emit)
    guard !overflowed else { return }
    let whole = pending
    pending = []
    emit(Self.event(whole))
  }

  private mutating func keep(_ bytes: Span<UInt8>, _ range: Range<Int>, _ emit: (Event) -> Void) {
    guard range.count <= maximumFrameBytes - pending.count else { return overflow(emit) }
    unsafe bytes.withUnsafeBufferPointer { buffer in unsafe pending.append(contentsOf: buffer[range]) }
  }

  private mutating func overflow(_ emit: (Event) -> Void) {
    overflowed = true
    pending = []
    emit(.overflow(limit: maximumFrameBytes))
  }

  private static func copy(_ bytes: Span<UInt8>, _ range: Range<Int>) -> [UInt8] {
    unsafe bytes.withUnsafeBufferPointer { buffer in unsafe Array(buffer[range]) }
  }

  private static func event(_ line: [UInt8]) -> Event {
    guard line.first == UInt8(ascii: "{") else { return .stray(prefix: Array(line.prefix(strayPrefixBytes))) }
    do throws(JSONTextError) { return .frame(try RawJSON(line)) } catch { return .malformed(error) }
  }
}
