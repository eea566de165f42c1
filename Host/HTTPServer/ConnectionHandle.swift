internal import CMicroHTTPD

/// The library's handle of one connection.
///
/// It is used on the library's thread, or on another one while the connection is suspended: then nothing but a resume
/// can end it, and suspending and resuming are safe on any thread. That makes sending it between threads safe.
@safe struct ConnectionHandle: @unchecked Sendable {
  let pointer: OpaquePointer

  init(_ pointer: OpaquePointer) { unsafe self.pointer = unsafe pointer }

  func suspend() { unsafe MHD_suspend_connection(pointer) }

  func resume() { unsafe MHD_resume_connection(pointer) }

  func queue(_ response: PreparedResponse) -> Bool {
    unsafe MHD_queue_response(pointer, UInt32(clamping: response.status), response.pointer) == .YES
  }

  /// The header fields, their size in bytes included.
  func headers() -> (headers: HTTPHeaders, bytes: Int) {
    var collected = Collected()
    unsafe withUnsafeMutablePointer(to: &collected) { target in
      _ = unsafe MHD_get_connection_values_n(pointer, .HEADER_KIND, collectHeader, target)
    }
    return (collected.headers, collected.bytes)
  }

  fileprivate struct Collected {
    var headers = HTTPHeaders()
    var bytes = 0

    init() { headers.reserve(16) }
  }
}

private func collectHeader(
  _ context: UnsafeMutableRawPointer?,
  _ kind: MHD_ValueKind,
  _ name: UnsafePointer<CChar>?,
  _ nameSize: Int,
  _ value: UnsafePointer<CChar>?,
  _ valueSize: Int
) -> MHD_Result {
  guard let context = unsafe context, let name = unsafe name else { return .YES }
  let collected = unsafe context.assumingMemoryBound(to: ConnectionHandle.Collected.self)
  unsafe collected.pointee.bytes += nameSize + valueSize + 4
  let nameText = unsafe String(decoding: UnsafeRawBufferPointer(start: name, count: nameSize), as: UTF8.self)
  let valueText = unsafe String(decoding: UnsafeRawBufferPointer(start: value, count: valueSize), as: UTF8.self)
  unsafe collected.pointee.headers.add(nameText, valueText)
  return .YES
}
