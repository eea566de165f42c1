internal import Glibc

/// A listening TCP socket.
struct ListenSocket: Sendable {
  let descriptor: Int32
  let port: UInt16

  /// Binds and listens; an empty host means every address of IPv4 and IPv6.
  static func open(host: String, port: UInt16) throws(HTTPServerError) -> ListenSocket {
    let shown = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    var hints = unsafe addrinfo()
    unsafe hints.ai_family = host.isEmpty ? AF_INET6 : AF_UNSPEC
    unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    unsafe hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV
    var list: UnsafeMutablePointer<addrinfo>?
    let code = unsafe getaddrinfo(host.isEmpty ? "::" : host, "\(port)", &hints, &list)
    guard code == 0, let address = unsafe list else {
      throw HTTPServerError(description: "Cannot listen on \(shown): a numeric address is needed")
    }
    defer { unsafe freeaddrinfo(address) }
    let descriptor = unsafe socket(
      address.pointee.ai_family,
      Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue),
      0
    )
    guard descriptor >= 0 else { throw failure(shown) }
    enable(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
    if host.isEmpty { enable(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0) }
    guard unsafe bind(descriptor, address.pointee.ai_addr, address.pointee.ai_addrlen) == 0,
      listen(descriptor, 1024) == 0, let bound = port == 0 ? boundPort(descriptor) : port
    else {
      let error = failure(shown)
      close(descriptor)
      throw error
    }
    return ListenSocket(descriptor: descriptor, port: bound)
  }

  /// Sets an integer option; failure only loses an improvement, so it is not reported.
  static func enable(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
    var value = value
    _ = unsafe setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
  }

  private static func boundPort(_ descriptor: Int32) -> UInt16? {
    var address = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return unsafe withUnsafeMutableBytes(of: &address) { buffer -> UInt16? in
      guard let base = buffer.baseAddress else { return nil }
      guard unsafe getsockname(descriptor, base.assumingMemoryBound(to: sockaddr.self), &length) == 0 else {
        return nil
      }
      // The port lies at the same place in both families.
      return UInt16(bigEndian: unsafe buffer.load(fromByteOffset: 2, as: UInt16.self))
    }
  }

  private static func failure(_ shown: String) -> HTTPServerError {
    let reason = unsafe String(cString: strerror(errno))
    return HTTPServerError(description: "Cannot listen on \(shown): \(reason)")
  }
}
