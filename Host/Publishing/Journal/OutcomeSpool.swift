import Cryptography
import Dispatch
import Egress
import FoundationEssentials
import Glibc
import JSONText
import Logging
import PluginManifest
import Postgres

/// Outcomes that could not be stored because the database was away, one JSON line each, fsynced.
///
/// An outcome is evidence that something was published. It must survive both the database and this process, so it goes
/// to a file next to the host and is stored when the database is back.
package final class OutcomeSpool: Sendable {
  private let path: String
  /// All work on the file, one after the other: a wait for the disk must not hold a cooperative thread.
  private let queue = DispatchQueue(label: "rostrum.spool")

  /// - Parameter path: the spool file; made at the first outcome, readable by the owner only.
  package init(path: String) {
    self.path = path
  }

  /// Adds one outcome and returns when it is on the disk. Not cancelled with the calling task.
  package func append(_ effect: FinishEffect) async throws {
    // The first newline ends a line that a power cut left half-written.
    let line = [Self.newline] + Self.encode(effect).bytes + [Self.newline]
    try await onDisk { [path] in
      try DurableFile.write(line, to: path, flags: O_APPEND)
      try DurableFile.syncFolder(of: path)
    }
  }

  /// Hands every spooled outcome to `store`, then forgets those that it stored; answers how many these are.
  ///
  /// Storing twice is harmless: the first outcome of a row wins. An outcome that can not be stored stays and does not
  /// keep the others back, unless the database is away.
  ///
  /// - Throws: the first error of `store`.
  package func drain(_ store: (FinishEffect) async throws -> Void) async throws -> Int {
    let taken = try await onDisk { [path] in try DurableFile.read(path) }
    guard !taken.isEmpty else { return 0 }
    var count = 0
    var kept: [UInt8] = []
    var failure: (any Error)?
    for line in taken.split(separator: Self.newline) {
      // A line that a power cut left half-written can not be decoded; nothing else can be done with it.
      guard let effect = try? Self.decode(String(decoding: line, as: UTF8.self)) else { continue }
      do {
        try await store(effect)
        count += 1
      } catch {
        failure = failure ?? error
        kept += line + [Self.newline]
        if let error = error as? PostgresError, error.isConnectionLost || error.isNotSent { throw error }
      }
    }
    try await onDisk { [path, kept] in
      let current = try DurableFile.read(path)
      // Outcomes that came while draining stay for the next time; a file that another drain has rewritten stays whole.
      guard current.starts(with: taken) else { return }
      try DurableFile.replace(path, with: kept + current.dropFirst(taken.count))
    }
    if let failure { throw failure }
    return count
  }

  private func onDisk<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { continuation.resume(with: Result(catching: work)) }
    }
  }

  private static let newline = UInt8(ascii: "\n")

  private static func encode(_ effect: FinishEffect) -> RawJSON {
    RawJSON.object { writer in
      writer.field("delivery", effect.delivery)
      writer.field("nonce", effect.nonce.uuidString)
      writer.field("run", effect.record.key.run)
      writer.field("step", effect.record.key.step)
      writer.field("try", effect.record.key.attempt)
      writer.field("rule", effect.record.rule)
      writer.field("class", effect.record.effectClass.rawValue)
      writer.field("digest", effect.record.digest)
      writer.field("outcome", effect.record.outcome?.rawValue)
      writer.field("status", effect.record.status)
      writer.field("answer", effect.record.answer)
      writer.field("remoteId", effect.record.remoteID)
      writer.field("remoteUrl", effect.record.remoteURL)
      writer.field("fence", effect.record.claim)
      writer.field("startedAt", effect.record.startedAt.timeIntervalSince1970)
      writer.field("sentAt", effect.record.sentAt?.timeIntervalSince1970)
      writer.field("lastByteAt", effect.record.lastByteAt?.timeIntervalSince1970)
      writer.field("platformDate", effect.record.platformDate?.timeIntervalSince1970)
      guard !effect.captures.isEmpty else { return }
      writer.array("captures", effect.captures) { writer, capture in
        writer.object { writer in
          writer.field("step", capture.step)
          writer.field("name", capture.name)
          writer.field("kind", capture.kind)
          // Sealed, as in the database.
          writer.field("sealed", Base64.encode(capture.sealed))
          writer.field("keyId", capture.keyID)
        }
      }
    }
  }

  private static func decode(_ line: String) throws -> FinishEffect {
    let object = try RawJSON(text: line).object()
    guard let nonce = UUID(uuidString: try object.string("nonce")),
      let effectClass = EffectClass(rawValue: try object.string("class"))
    else { throw SpoolError(operation: "decode", code: EINVAL) }
    let record = EffectRecord(
      key: EffectKey(
        run: Int(try object.int64("run")),
        step: try object.string("step"),
        attempt: Int(try object.int64("try"))
      ),
      rule: try object.string("rule"),
      effectClass: effectClass,
      digest: try object.string("digest"),
      outcome: try object.optionalString("outcome").flatMap(OutcomeClass.init),
      status: try object.optionalInt64("status").map(Int.init),
      answer: try object.optionalString("answer"),
      remoteID: try object.optionalString("remoteId"),
      remoteURL: try object.optionalString("remoteUrl"),
      claim: try object.int64("fence"),
      startedAt: Date(timeIntervalSince1970: try object.optionalDouble("startedAt") ?? 0),
      sentAt: try object.optionalDouble("sentAt").map(Date.init(timeIntervalSince1970:)),
      lastByteAt: try object.optionalDouble("lastByteAt").map(Date.init(timeIntervalSince1970:)),
      platformDate: try object.optionalDouble("platformDate").map(Date.init(timeIntervalSince1970:))
    )
    var effect = FinishEffect(delivery: try object.int64("delivery"), record: record, nonce: nonce)
    effect.captures = try captures(object)
    return effect
  }

  private static func captures(_ object: JSONObjectView) throws -> [CaptureRow] {
    guard let elements = try object.optionalArray("captures") else { return [] }
    return try elements.map { element in
      let capture = try element.object()
      guard let sealed = Base64.decode(try capture.string("sealed")) else {
        throw SpoolError(operation: "decode", code: EINVAL)
      }
      return CaptureRow(
        step: try capture.string("step"),
        name: try capture.string("name"),
        kind: try capture.string("kind"),
        sealed: sealed,
        keyID: try capture.int64("keyId")
      )
    }
  }
}
