internal import Glibc

/// Reads a body piece by piece; owns the files it has opened. Used on the client's thread only.
final class BodySource {
  /// A file is missing, is not regular, or is shorter than its range.
  struct Unreadable: Error {}

  /// The exact number of bytes.
  let length: Int64

  private let segments: [Segment]
  private var index = 0
  private var offset: Int64 = 0

  private enum Segment {
    case bytes([UInt8])
    case file(descriptor: Int32, start: Int64, length: Int64, owned: Bool)

    var length: Int64 {
      switch self {
      case .bytes(let bytes): Int64(bytes.count)
      case .file(_, _, let length, _): length
      }
    }
  }

  /// Opens every file and checks every range.
  init(_ pieces: [MultipartForm.Piece]) throws(Unreadable) {
    var segments: [Segment] = []
    var total: Int64 = 0
    do throws(Unreadable) {
      for piece in pieces {
        let segment: Segment
        switch piece {
        case .bytes(let bytes): segment = .bytes(bytes)
        case .file(let file): segment = try Self.open(file)
        }
        segments.append(segment)
        let (sum, overflow) = total.addingReportingOverflow(segment.length)
        guard !overflow else { throw Unreadable() }
        total = sum
      }
    } catch {
      Self.close(segments)
      throw error
    }
    self.segments = segments
    length = total
  }

  deinit {
    Self.close(segments)
  }

  /// Fills `buffer` as far as bytes are left and returns how many there were; 0 is the end.
  @unsafe func read(into buffer: UnsafeMutableRawBufferPointer) throws(Unreadable) -> Int {
    var filled = 0
    while filled < buffer.count, index < segments.count {
      let segment = segments[index]
      let wanted = min(Int64(buffer.count - filled), segment.length - offset)
      guard wanted > 0 else {
        index += 1
        offset = 0
        continue
      }
      let target = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<filled + Int(wanted)])
      let count = try unsafe read(segment, into: target)
      filled += count
      offset += Int64(count)
    }
    return filled
  }

  /// Moves to the absolute position `position`; false if the body is shorter.
  func seek(to position: Int64) -> Bool {
    guard (0...length).contains(position) else { return false }
    index = 0
    offset = position
    while index < segments.count, offset >= segments[index].length {
      offset -= segments[index].length
      index += 1
    }
    return true
  }

  @unsafe private func read(
    _ segment: Segment,
    into target: UnsafeMutableRawBufferPointer
  ) throws(Unreadable) -> Int {
    switch segment {
    case .bytes(let bytes):
      let start = Int(offset)
      unsafe target.copyBytes(from: bytes[start..<start + target.count])
      return target.count
    case .file(let descriptor, let start, _, _):
      while true {
        let count = unsafe pread(descriptor, target.baseAddress, target.count, off_t(start + offset))
        if count > 0 { return count }
        // A file that became shorter must not turn into an endless loop or a short body.
        guard count < 0, errno == EINTR else { throw Unreadable() }
      }
    }
  }

  private static func open(_ file: FileRange) throws(Unreadable) -> Segment {
    let descriptor: Int32
    let owned: Bool
    switch file.location {
    case .path(let path):
      descriptor = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
      owned = true
    case .descriptor(let borrowed):
      descriptor = borrowed
      owned = false
    }
    guard descriptor >= 0 else { throw Unreadable() }
    var status = stat()
    let readable = unsafe fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    let size = Int64(status.st_size)
    let range = file.range ?? 0..<max(0, size)
    guard readable, range.lowerBound >= 0, range.upperBound <= size else {
      if owned { _ = Glibc.close(descriptor) }
      throw Unreadable()
    }
    let length = range.upperBound - range.lowerBound
    return .file(descriptor: descriptor, start: range.lowerBound, length: length, owned: owned)
  }

  private static func close(_ segments: [Segment]) {
    for case .file(let descriptor, _, _, owned: true) in segments {
      _ = Glibc.close(descriptor)
    }
  }
}
