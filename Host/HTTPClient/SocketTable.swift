internal import CCurl

/// Knows the socket behind each open connection, because the library names it to nobody while a request starts.
///
/// Bound to the client's thread; lives as long as the library can close a connection.
final class SocketTable {
  /// What makes a connection unique.
  struct Key: Hashable {
    var local: SocketAddress
    var remote: SocketAddress
  }

  private var sockets: [Key: Int32] = [:]
  private var keys: [Int32: Key] = [:]

  /// Notes which of the sockets just opened has become the connection `key`.
  func connected(_ key: Key, candidates: [Int32]) {
    guard let socket = candidates.first(where: { CCurl_localPort($0) == key.local.port }) else { return }
    closed(socket)
    sockets[key] = socket
    keys[socket] = key
  }

  /// Forgets a socket that is being closed.
  func closed(_ socket: Int32) {
    guard let key = keys.removeValue(forKey: socket) else { return }
    sockets[key] = nil
  }

  /// Whether the connection may carry another request: it is open and no byte waits on it.
  ///
  /// The library would take waiting bytes, which nobody asked for, as the answer to the next request.
  func isQuiet(_ key: Key) -> Bool {
    guard let socket = sockets[key] else { return false }
    return CCurl_isQuiet(socket) != 0
  }
}
