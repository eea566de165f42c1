internal import Dispatch
internal import FoundationEssentials
internal import Glibc
internal import JSONDocument

/// Signed heads apart from the database, in a folder of this host: `heads.jsonl`, to which lines are only added, and
/// `tip.json`, the newest of all. What they name can not be taken out of the database unseen.
package final class HeadArchive: Sendable {
  /// What the folder holds.
  package struct Content: Sendable {
    package var heads: [ChainHead] = []
    package var tip: ChainHead?
    /// Lines that can not be read.
    package var problems: [AuditProblem] = []

    package init() {}

    /// The newest row that any head names.
    var newest: Int64 { max(tip?.seq ?? 0, heads.map(\.seq).max() ?? 0) }
  }

  private let folder: String
  /// A wait for the disk must not hold a cooperative thread.
  private let queue = DispatchQueue(label: "rostrum.audit-heads")

  package init(folder: String) {
    self.folder = folder
  }

  private var headsPath: String { folder + "/heads.jsonl" }
  private var tipPath: String { folder + "/tip.json" }

  /// Everything in the folder; nothing where there is none yet.
  package func read() async throws -> Content {
    let (headsPath, tipPath) = (headsPath, tipPath)
    return try await onDisk {
      var content = Content()
      if let text = try Self.text(headsPath) {
        // A line without an end was cut off by a crash; its head is written again.
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        for (index, line) in lines.enumerated() where !line.isEmpty {
          if let head = Self.head(line) {
            content.heads.append(head)
          } else {
            content.problems.append(AuditProblem(0, .head, "line \(index + 1) of \(headsPath) can not be read"))
          }
        }
      }
      if let text = try Self.text(tipPath) {
        content.tip = Self.head(Substring(text))
        if content.tip == nil { content.problems.append(AuditProblem(0, .head, "\(tipPath) can not be read")) }
      }
      return content
    }
  }

  /// Adds lines and returns when they are on the disk.
  func append(_ lines: [JSONValue]) async throws {
    let bytes = Array(lines.map { $0.text() + "\n" }.joined().utf8)
    let path = headsPath
    try await onDisk { [folder] in
      try Self.make(folder)
      let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
      guard descriptor >= 0 else { throw Self.failure(path, "made") }
      defer { close(descriptor) }
      try Self.cutTornLine(descriptor, path)
      try Self.write(bytes, to: descriptor, path)
    }
  }

  /// Replaces the tip and returns when it is on the disk.
  func replaceTip(_ json: JSONValue) async throws {
    let bytes = Array((json.text() + "\n").utf8)
    let path = tipPath
    try await onDisk { [folder] in
      try Self.make(folder)
      let temporary = path + ".new"
      let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
      guard descriptor >= 0 else { throw Self.failure(temporary, "made") }
      defer { close(descriptor) }
      try Self.write(bytes, to: descriptor, temporary)
      guard unsafe rename(temporary, path) == 0 else { throw Self.failure(path, "replaced") }
    }
  }

  // MARK: Files

  private static func head(_ line: Substring) -> ChainHead? {
    // What is no JSON is no head either; the caller says which line it is.
    (try? JSONValue.parse(Array(line.utf8))).flatMap { ChainHead(json: $0) }
  }

  private static func text(_ path: String) throws -> String? {
    guard unsafe access(path, F_OK) == 0 else {
      if errno == ENOENT { return nil }
      throw failure(path, "looked at")
    }
    guard let data = FileManager.default.contents(atPath: path) else { throw failure(path, "read") }
    return String(decoding: data, as: UTF8.self)
  }

  private static func make(_ folder: String) throws {
    guard unsafe mkdir(folder, 0o700) == 0 || errno == EEXIST else { throw failure(folder, "made") }
  }

  /// Takes away what a crash left of a line; its head comes again.
  private static func cutTornLine(_ descriptor: Int32, _ path: String) throws {
    let size = lseek(descriptor, 0, SEEK_END)
    guard size > 0 else { return }
    // Lines are far shorter.
    var tail = [UInt8](repeating: 0, count: min(size, 4_096))
    guard unsafe pread(descriptor, &tail, tail.count, size - tail.count) == tail.count else {
      throw failure(path, "read")
    }
    let rest = tail.count - ((tail.lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1)
    guard rest == 0 || ftruncate(descriptor, size - rest) == 0 else { throw failure(path, "mended") }
  }

  private static func write(_ bytes: [UInt8], to descriptor: Int32, _ path: String) throws {
    let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
    guard count == bytes.count, fsync(descriptor) == 0 else { throw failure(path, "written") }
  }

  private static func failure(_ path: String, _ what: String) -> AuditError {
    .file("\(path) can not be \(what) (error \(errno))")
  }

  private func onDisk<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { continuation.resume(with: Result(catching: work)) }
    }
  }
}
