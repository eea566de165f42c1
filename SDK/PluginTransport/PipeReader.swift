import Glibc

/// Reads frames from a pipe on the calling thread.
public enum PipeReader {
  /// How the stream ended.
  public enum End: Sendable, Equatable {
    /// The writer closed it; `partial` is true if a line was left unfinished.
    case endOfFile(partial: Bool)
    /// The handler asked to stop.
    case stopped
    /// Reading failed with this `errno`.
    case failed(Int32)
  }

  /// Blocks and reports every event until the stream ends or `handle` answers false.
  public static func run(
    descriptor: Int32,
    reader: inout FrameReader,
    _ handle: (FrameReader.Event) -> Bool
  ) -> End {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    var go = true
    while go {
      let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
      if count == 0 { return .endOfFile(partial: reader.pendingBytes > 0) }
      if count < 0 {
        let code = errno
        if code == EINTR { continue }
        return .failed(code)
      }
      reader.consume(buffer.span.extracting(0..<count)) { event in
        if go { go = handle(event) }
      }
    }
    return .stopped
  }
}
