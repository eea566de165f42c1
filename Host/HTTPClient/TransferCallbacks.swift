internal import CCurl
internal import Glibc

// The library calls these on the client's thread. They are plain functions, because a closure written inside a
// method could inherit an isolation that does not hold there.

/// The transfer behind a context pointer; alive, because the loop owns every transfer that the library works on.
@unsafe private func transfer(_ context: UnsafeMutableRawPointer?) -> Transfer? {
  guard let context = unsafe context else { return nil }
  return unsafe Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
}

@unsafe func openSocket(
  context: UnsafeMutableRawPointer?,
  purpose: curlsocktype,
  address: UnsafeMutablePointer<curl_sockaddr>?
) -> curl_socket_t {
  guard let transfer = unsafe transfer(context), let address = unsafe address else { return CURL_SOCKET_BAD }
  var bytes = [UInt8](repeating: 0, count: 16)
  var port: UInt16 = 0
  let count = Int(unsafe CCurl_copyAddress(address, &bytes, &port))
  guard transfer.mayConnect(to: SocketAddress(bytes: Array(bytes[..<count]), port: port)) else {
    return CURL_SOCKET_BAD
  }
  // Close-on-exec from the start: a plugin spawned at this moment must not inherit a connection.
  let kind = unsafe address.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue)
  let descriptor = unsafe socket(address.pointee.family, kind, address.pointee.`protocol`)
  if descriptor >= 0 { transfer.opened(descriptor) }
  return descriptor
}

/// Has the socket table for its context, because the transfer that opened a connection may be gone by now.
@unsafe func closeSocket(context: UnsafeMutableRawPointer?, socket: curl_socket_t) -> Int32 {
  if let context = unsafe context {
    unsafe Unmanaged<SocketTable>.fromOpaque(context).takeUnretainedValue().closed(socket)
  }
  return close(socket)
}

@unsafe func prerequest(
  context: UnsafeMutableRawPointer?,
  remoteAddress: UnsafeMutablePointer<CChar>?,
  localAddress: UnsafeMutablePointer<CChar>?,
  remotePort: Int32,
  localPort: Int32
) -> Int32 {
  guard let transfer = unsafe transfer(context) else { return CURL_PREREQFUNC_ABORT }
  let local = unsafe address(localAddress, port: localPort)
  let remote = unsafe address(remoteAddress, port: remotePort)
  return transfer.maySend(from: local, to: remote) ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT
}

@unsafe private func address(_ text: UnsafeMutablePointer<CChar>?, port: Int32) -> SocketAddress? {
  guard let text = unsafe text else { return nil }
  return SocketAddress(numeric: unsafe String(cString: text), port: UInt16(clamping: port))
}

@unsafe func readBody(
  data: UnsafeMutablePointer<CChar>?,
  size: Int,
  count: Int,
  context: UnsafeMutableRawPointer?
) -> Int {
  let buffer = unsafe UnsafeMutableRawBufferPointer(start: data, count: size * count)
  return unsafe transfer(context)?.readBody(into: buffer) ?? Int(CURL_READFUNC_ABORT)
}

@unsafe func seekBody(context: UnsafeMutableRawPointer?, offset: curl_off_t, origin: Int32) -> Int32 {
  guard origin == SEEK_SET, unsafe transfer(context)?.seekBody(to: Int64(offset)) == true else {
    return CURL_SEEKFUNC_FAIL
  }
  return CURL_SEEKFUNC_OK
}

@unsafe func takeHeader(
  data: UnsafeMutablePointer<CChar>?,
  size: Int,
  count: Int,
  context: UnsafeMutableRawPointer?
) -> Int {
  let line = unsafe Array(UnsafeRawBufferPointer(start: data, count: size * count))
  return unsafe transfer(context)?.takeHeader(line) == true ? line.count : refused
}

@unsafe func takeBody(
  data: UnsafeMutablePointer<CChar>?,
  size: Int,
  count: Int,
  context: UnsafeMutableRawPointer?
) -> Int {
  let bytes = unsafe UnsafeRawBufferPointer(start: data, count: size * count)
  switch unsafe transfer(context)?.takeBody(bytes) {
  case .taken: return bytes.count
  case .later: return Int(CURL_WRITEFUNC_PAUSE)
  case .stop, nil: return refused
  }
}

/// Any count other than the one offered ends the transfer; -1 is never an offered count, 0 could be.
private let refused = -1
