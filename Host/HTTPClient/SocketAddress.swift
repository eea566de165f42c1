internal import Glibc

/// An Internet address with its port. An IPv4 address mapped into IPv6 is held as the IPv4 address it means.
package struct SocketAddress: Sendable, Hashable {
  /// Four bytes for IPv4, sixteen for IPv6, most significant first.
  package let bytes: [UInt8]
  /// The port.
  package let port: UInt16

  /// Makes an address from 4 or 16 bytes; nil for any other count.
  package init?(bytes: [UInt8], port: UInt16) {
    switch bytes.count {
    case 4: self.bytes = bytes
    case 16: self.bytes = bytes.starts(with: Self.mappedPrefix) ? Array(bytes[12...]) : bytes
    default: return nil
    }
    self.port = port
  }

  /// Reads a numeric address such as `10.1.2.3` or `fe80::1`; nil if it is anything else.
  package init?(numeric text: String, port: UInt16) {
    var bytes = [UInt8](repeating: 0, count: 16)
    if unsafe inet_pton(AF_INET, text, &bytes) == 1 {
      self.init(bytes: Array(bytes[..<4]), port: port)
    } else if unsafe inet_pton(AF_INET6, text, &bytes) == 1 {
      self.init(bytes: bytes, port: port)
    } else {
      return nil
    }
  }

  /// Whether this is an IPv4 address.
  package var isIPv4: Bool { bytes.count == 4 }

  private static let mappedPrefix: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]
}

extension SocketAddress: CustomStringConvertible {
  package var description: String {
    guard !isIPv4 else { return bytes.map(String.init).joined(separator: ".") + ":\(port)" }
    let groups = stride(from: 0, to: 16, by: 2).map { index in
      String(UInt16(bytes[index]) << 8 | UInt16(bytes[index + 1]), radix: 16)
    }
    return "[\(groups.joined(separator: ":"))]:\(port)"
  }
}
