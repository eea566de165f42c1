internal import Glibc
internal import Processes

/// What the probe tries to reach: real listeners and files that everybody may use, so that only the jail says no.
final class ProbeTargets {
  struct Failure: Error, CustomStringConvertible {
    let step: String
    let code: Int32

    var description: String { "\(step) failed: \(SystemError.text(of: code))" }
  }

  private let directory: String
  private let file: String
  private let socketPath: String
  private let abstractName: String
  private let port: UInt16
  private let listeners: [OwnedDescriptor]

  init() throws(Failure) {
    var template = Array("/tmp/rostrum-probe-XXXXXX".utf8CString)
    guard unsafe mkdtemp(&template) != nil else { throw Failure(step: "making a folder in /tmp", code: errno) }
    let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    directory = folder
    file = "\(folder)/file"
    socketPath = "\(folder)/socket"
    abstractName = String(folder.dropFirst(5))
    guard unsafe chmod(folder, 0o777) == 0 else { throw Failure(step: "opening the folder", code: errno) }
    let descriptor = unsafe open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw Failure(step: "making a file", code: errno) }
    _ = fchmod(descriptor, 0o666)
    _ = close(descriptor)
    let loopback = try Self.listenOnLoopback()
    port = loopback.port
    let named = try Self.listen(path: socketPath, isAbstract: false)
    let abstract = try Self.listen(path: abstractName, isAbstract: true)
    unsafe chmod(socketPath, 0o777)
    listeners = [loopback.listener, named, abstract]
  }

  /// The arguments of the probe after its name.
  var arguments: [String] { ["\(getpid())", "\(port)", socketPath, abstractName, file, directory] }

  func remove() {
    for listener in listeners { listener.close() }
    for path in [socketPath, file, "\(directory)/escaped"] where unsafe unlink(path) != 0 && errno == EISDIR {
      unsafe rmdir(path)
    }
    unsafe rmdir(directory)
  }

  private static func listenOnLoopback() throws(Failure) -> (listener: OwnedDescriptor, port: UInt16) {
    let listener = OwnedDescriptor(
      adopting: socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    )
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let number = listener.rawValue ?? -1
    let isListening = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
        unsafe bind(number, generic, length) == 0 && Glibc.listen(number, 4) == 0
          && getsockname(number, generic, &length) == 0
      }
    }
    guard isListening else { throw Failure(step: "listening on 127.0.0.1", code: errno) }
    return (listener, UInt16(bigEndian: address.sin_port))
  }

  private static func listen(path: String, isAbstract: Bool) throws(Failure) -> OwnedDescriptor {
    let listener = OwnedDescriptor(
      adopting: socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    )
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = (isAbstract ? [0] : []) + Array(path.utf8)
    guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
      throw Failure(step: "naming a socket", code: ENAMETOOLONG)
    }
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count + (isAbstract ? 0 : 1))
    let number = listener.rawValue ?? -1
    let isListening = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
        unsafe bind(number, generic, length) == 0 && Glibc.listen(number, 4) == 0
      }
    }
    guard isListening else { throw Failure(step: "listening on a unix socket", code: errno) }
    return listener
  }
}
