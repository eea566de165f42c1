internal import HTTPClient

/// Where the HTTP server listens.
package struct ListenAddress: Sendable, Equatable, CustomStringConvertible {
  /// A numeric address; empty for all addresses of the machine.
  package var host: String
  /// 0 lets the system choose.
  package var port: UInt16

  package init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// Reads `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080` or `:8080`.
  package init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
    var host = String(text[..<colon])
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = String(host.dropFirst().dropLast())
      guard host.contains(":") else { return nil }
    } else if host.contains(":") {
      return nil
    }
    if host == "localhost" { host = "127.0.0.1" }
    guard host.isEmpty || SocketAddress(numeric: host, port: port) != nil else { return nil }
    self.init(host: host, port: port)
  }

  package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

  /// The address that a browser on this machine opens.
  ///
  /// - Parameter port: The port that the system chose.
  package func url(port: UInt16) -> String {
    let host = host.isEmpty || host == "0.0.0.0" || host == "::" ? "127.0.0.1" : host
    return "http://\(ListenAddress(host: host, port: port))"
  }
}
