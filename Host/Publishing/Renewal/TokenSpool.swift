import Cryptography
import Dispatch
import FoundationEssentials
import Glibc
import JSONText
import Logging

/// Credentials that a platform gave and that are not in the database yet: one sealed file each, in a folder of its own.
///
/// The answer to a renewal may be the only copy of an account's access. It goes to the disk before anything else is done
/// with it, so that neither the end of this process nor an absent database loses it.
package final class TokenSpool: Sendable {
  private let folder: String
  /// All work on the folder, one after the other: a wait for the disk must not hold a cooperative thread.
  private let queue = DispatchQueue(label: "rostrum.token-spool")

  /// - Parameter folder: made at the first use, for the owner only.
  package init(folder: String) {
    self.folder = folder
  }

  /// Keeps credentials; returns when they are on the disk.
  func keep(_ token: RenewedToken) async throws {
    let bytes = Array(Self.encode(token).bytes)
    try await onDisk { [folder] in
      if unsafe mkdir(folder, 0o700) == 0 {
        try DurableFile.syncFolder(of: folder)
      } else if errno != EEXIST {
        throw SpoolError(operation: "mkdir", code: errno)
      }
      try DurableFile.replace(folder + "/" + Self.name(token.connection, token.generation), with: bytes)
    }
  }

  /// Forgets credentials that are stored or of no use any more.
  func remove(_ token: RenewedToken) async throws {
    try await onDisk { [folder] in
      let path = folder + "/" + Self.name(token.connection, token.generation)
      guard unsafe unlink(path) == 0 || errno == ENOENT else { throw SpoolError(operation: "unlink", code: errno) }
    }
  }

  /// Everything that is kept, or what is kept for one connection; a file that can not be read is left where it is.
  func tokens(of connection: Int64? = nil) async throws -> [RenewedToken] {
    try await onDisk { [folder] in
      try Self.names(in: folder).compactMap { name in
        let parts = name.split(separator: ".")
        guard parts.count == 2, let id = Int64(parts[0]), Int64(parts[1]) != nil else { return nil }
        if let connection, connection != id { return nil }
        let bytes = try DurableFile.read(folder + "/" + name)
        // Gone in the meantime: stored by another task.
        if bytes.isEmpty { return nil }
        do {
          return try Self.decode(bytes)
        } catch {
          Logger.current.error("A kept answer can not be read", ["file": LogValue(name)])
          return nil
        }
      }
    }
  }

  private func onDisk<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { continuation.resume(with: Result(catching: work)) }
    }
  }

  private static func name(_ connection: Int64, _ generation: Int64) -> String { "\(connection).\(generation)" }

  private static func names(in folder: String) throws -> [String] {
    guard let entries = unsafe opendir(folder) else {
      if errno == ENOENT { return [] }
      throw SpoolError(operation: "open the folder", code: errno)
    }
    defer { unsafe closedir(entries) }
    var names: [String] = []
    while let entry = unsafe readdir(entries) {
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
      }
      names.append(name)
    }
    return names.sorted()
  }

  private static func encode(_ token: RenewedToken) -> RawJSON {
    RawJSON.object { writer in
      writer.field("connection", token.connection)
      writer.field("site", token.site)
      writer.field("platform", token.platform)
      writer.field("generation", token.generation)
      writer.field("sealed", Base64.encode(token.sealed))
      writer.field("keyId", token.keyID)
      writer.field("issuedAt", token.issuedAt.timeIntervalSince1970)
      writer.field("expiresAt", token.expiresAt?.timeIntervalSince1970)
      writer.field("renewAt", token.renewAt?.timeIntervalSince1970)
      writer.field("replacesAll", token.replacesAll)
      guard let scopes = token.scopes else { return }
      writer.array("scopes", scopes) { writer, scope in writer.string(scope) }
    }
  }

  private static func decode(_ bytes: [UInt8]) throws -> RenewedToken {
    let object = try RawJSON(bytes).object()
    guard let sealed = Base64.decode(try object.string("sealed")) else {
      throw SpoolError(operation: "decode", code: EINVAL)
    }
    func date(_ name: String) throws -> Date? {
      try object.optionalDouble(name).map(Date.init(timeIntervalSince1970:))
    }
    return RenewedToken(
      connection: try object.int64("connection"),
      site: try object.int64("site"),
      platform: try object.string("platform"),
      generation: try object.int64("generation"),
      sealed: sealed,
      keyID: try object.int64("keyId"),
      issuedAt: try date("issuedAt") ?? Date(timeIntervalSince1970: 0),
      expiresAt: try date("expiresAt"),
      renewAt: try date("renewAt"),
      scopes: try object.optionalArray("scopes")?.map { try $0.string() },
      replacesAll: try object.optionalBool("replacesAll") ?? false
    )
  }
}
