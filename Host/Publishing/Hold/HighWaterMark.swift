internal import Dispatch
package import FoundationEssentials
internal import Glibc
internal import JSONDocument

/// How far the database had come when this home last looked.
package struct HighWaterMark: Sendable, Equatable {
  package var installation: UUID
  package var system: Int64
  package var database: Int64
  package var timeline: Int64
  package var flushed: Int64
  package var fence: Int64
  package var isSynchronous: Bool
  /// By the database's clock.
  package var at: Date

  package init(
    installation: UUID,
    system: Int64,
    database: Int64,
    timeline: Int64,
    flushed: Int64,
    fence: Int64,
    isSynchronous: Bool,
    at: Date
  ) {
    self.installation = installation
    self.system = system
    self.database = database
    self.timeline = timeline
    self.flushed = flushed
    self.fence = fence
    self.isSynchronous = isSynchronous
    self.at = at
  }

  var json: JSONValue {
    [
      "installation": .string(installation.uuidString), "system": .int(system), "database": .int(database),
      "timeline": .int(timeline), "flushed": .int(flushed), "fence": .int(fence),
      "synchronous": .bool(isSynchronous), "atMs": .int(Int64((at.timeIntervalSince1970 * 1000).rounded())),
    ]
  }

  init?(json: JSONValue) {
    guard let members = json.objectValue,
      let installation = members["installation"]?.stringValue.flatMap({ UUID(uuidString: $0) }),
      let system = members["system"]?.int64Value, let database = members["database"]?.int64Value,
      let timeline = members["timeline"]?.int64Value, let flushed = members["flushed"]?.int64Value,
      let fence = members["fence"]?.int64Value, let isSynchronous = members["synchronous"]?.boolValue,
      let milliseconds = members["atMs"]?.int64Value
    else { return nil }
    self.init(
      installation: installation,
      system: system,
      database: database,
      timeline: timeline,
      flushed: flushed,
      fence: fence,
      isSynchronous: isSynchronous,
      at: Date(timeIntervalSince1970: Double(milliseconds) / 1000)
    )
  }
}

/// The mark's file in the home. It is replaced as a whole, so that a power cut leaves the old one or the new one.
package final class MarkFile: Sendable {
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
  }

  private let path: String
  /// A wait for the disk must not hold a cooperative thread.
  private let queue = DispatchQueue(label: "rostrum.mark")

  package init(path: String) {
    self.path = path
  }

  /// The mark; nil when there is none yet.
  ///
  /// - Throws: ``Failure`` when the file can not be read or understood: to go on without it could send posts twice.
  package func read() async throws -> HighWaterMark? {
    try await onDisk { [path] in
      guard unsafe access(path, F_OK) == 0 else {
        if errno == ENOENT { return nil }
        throw Failure(description: "\(path) can not be looked at (error \(errno))")
      }
      guard let data = FileManager.default.contents(atPath: path), let json = try? JSONValue.parse([UInt8](data)),
        let mark = HighWaterMark(json: json)
      else {
        throw Failure(description: "\(path) can not be read; if you are sure of the database, remove the file")
      }
      return mark
    }
  }

  /// Replaces the mark and returns when it is on the disk.
  package func write(_ mark: HighWaterMark) async throws {
    let bytes = Array(mark.json.text().utf8)
    try await onDisk { [path] in
      let temporary = path + ".new"
      let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
      guard descriptor >= 0 else { throw Failure(description: "\(temporary) can not be made (error \(errno))") }
      defer { close(descriptor) }
      let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
      guard count == bytes.count, fsync(descriptor) == 0, unsafe rename(temporary, path) == 0 else {
        throw Failure(description: "\(path) can not be written (error \(errno))")
      }
    }
  }

  private func onDisk<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { continuation.resume(with: Result(catching: work)) }
    }
  }
}
