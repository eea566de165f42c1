internal import CMicroHTTPD

/// What an answer's stream has for its client now.
enum AnswerReading {
  case bytes(Int)
  /// Nothing yet; the connection has been suspended.
  case suspended
  case end
  case failed
}

/// An answer whose bytes come over time.
protocol AnswerStream: AnyObject, Sendable {
  /// Fills the buffer on the library's thread, or suspends the connection; never waits.
  func read(into buffer: UnsafeMutableRawBufferPointer) -> AnswerReading
  /// Ends the answer early.
  func end()
  /// The library is done with the answer, however it ended.
  func released()
}

/// An answer in the library's form; the library keeps its own reference once the answer is queued.
@safe final class PreparedResponse: @unchecked Sendable {  // the library's response objects are safe on any thread
  let status: Int
  /// Bytes of the body when they are known.
  let length: Int?
  fileprivate(set) var stream: (any AnswerStream)?
  let pointer: OpaquePointer

  private init?(status: Int, length: Int?, stream: (any AnswerStream)? = nil, _ pointer: OpaquePointer?) {
    guard let pointer = unsafe pointer else { return nil }
    self.status = status
    self.length = length
    self.stream = stream
    unsafe self.pointer = unsafe pointer
  }

  deinit { unsafe MHD_destroy_response(pointer) }

  static func bytes(_ bytes: [UInt8], status: Int) -> PreparedResponse? {
    let pointer = unsafe bytes.withUnsafeBytes { buffer in
      // The library copies; its parameter is mutable only for the modes in which it does not.
      unsafe MHD_create_response_from_buffer(
        buffer.count,
        UnsafeMutableRawPointer(mutating: buffer.baseAddress),
        .RESPMEM_MUST_COPY
      )
    }
    return unsafe PreparedResponse(status: status, length: bytes.count, pointer)
  }

  static func file(_ file: FileBody, status: Int) -> PreparedResponse? {
    guard let descriptor = file.release() else { return nil }
    return unsafe PreparedResponse(
      status: status,
      length: Int(file.size),
      MHD_create_response_from_fd64(UInt64(file.size), descriptor)
    )
  }

  static func stream(
    _ stream: any AnswerStream,
    status: Int,
    blockSize: Int,
    onBytes: @escaping @Sendable (Int) -> Void
  ) -> PreparedResponse? {
    let box = unsafe Unmanaged.passRetained(AnswerBox(stream, onBytes))
    let pointer = unsafe MHD_create_response_from_callback(
      .max,
      blockSize,
      readAnswer,
      box.toOpaque(),
      releaseAnswer
    )
    if unsafe pointer == nil { unsafe box.release() }
    return unsafe PreparedResponse(status: status, length: nil, stream: stream, pointer)
  }

  /// Adds a field; false when the library refuses it, for example because of a line break in it.
  func add(_ name: String, _ value: String) -> Bool {
    unsafe MHD_add_response_header(pointer, name, value) == .YES
  }
}

private final class AnswerBox: Sendable {
  let stream: any AnswerStream
  let onBytes: @Sendable (Int) -> Void

  init(_ stream: any AnswerStream, _ onBytes: @escaping @Sendable (Int) -> Void) {
    self.stream = stream
    self.onBytes = onBytes
  }
}

private func readAnswer(
  _ context: UnsafeMutableRawPointer?,
  _ position: UInt64,
  _ buffer: UnsafeMutablePointer<CChar>?,
  _ size: Int
) -> Int {
  guard let context = unsafe context else { return -2 }
  let box = unsafe Unmanaged<AnswerBox>.fromOpaque(context).takeUnretainedValue()
  switch unsafe box.stream.read(into: UnsafeMutableRawBufferPointer(start: buffer, count: size)) {
  case .bytes(let count):
    box.onBytes(count)
    return count
  case .suspended: return 0
  case .end: return -1
  case .failed: return -2
  }
}

private func releaseAnswer(_ context: UnsafeMutableRawPointer?) {
  guard let context = unsafe context else { return }
  unsafe Unmanaged<AnswerBox>.fromOpaque(context).takeRetainedValue().stream.released()
}
