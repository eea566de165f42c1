import Cryptography
import FoundationEssentials
import JSONDocument
import Postgres

/// One use of `--idempotency-key`: the same key with the same words makes one thing and prints the same answer.
///
/// Without the option every call has a key of its own, which `--json` prints, so that a script sees what to repeat.
struct CommandKey: Sendable {
  static let option = Command.Option.value(
    "idempotency-key",
    "KEY",
    "makes repeating harmless: the same key and words make one thing; a new key for each call when left out"
  )

  /// Stands for the command line, where requests have a user, and for the host, where they have a site.
  private static let nobody: Int64 = 0

  let text: String
  private let hash: [UInt8]

  init(_ invocation: Invocation, _ words: [String]) throws(CommandError) {
    text = invocation.option("idempotency-key") ?? "cli-\(UUID().uuidString.lowercased())"
    guard (1...255).contains(text.utf8.count), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
      throw CommandError(.usage, "--idempotency-key is “\(text)”; allowed are 1 to 255 visible ASCII characters")
    }
    let arguments = invocation.arguments
    let options = arguments.values.filter { !["config", "idempotency-key"].contains($0.key) }
    let said: JSONValue = [
      "words": .array(words.map { .string($0) }), "options": .object(options.mapValues { .string($0) }),
      "flags": .array(arguments.flags.subtracting(["json"]).sorted().map { .string($0) }),
      "operands": .array(arguments.operands.map { .string($0) }),
    ]
    hash = SHA256.digest(said.text())
  }

  /// Makes something in one transaction, once.
  ///
  /// - Returns: what was made, and whether an earlier call made it.
  func once(
    _ pool: Pool,
    _ body: @Sendable (Transaction) async throws -> JSONValue
  ) async throws -> (answer: JSONValue, isReplay: Bool) {
    if let earlier = try await earlier(pool) { return (earlier, true) }
    do {
      let made = try await pool.transaction { tx in
        try await tx.execute(
          """
          INSERT INTO idempotency_keys (site_id, user_id, key, request_hash, status, response)
          VALUES (\(Self.nobody), \(Self.nobody), \(text), \(hash), 0, '')
          """
        )
        let answer = try await body(tx)
        try await tx.execute(
          """
          UPDATE idempotency_keys SET response = \(answer.text())
          WHERE site_id = \(Self.nobody) AND user_id = \(Self.nobody) AND key = \(text)
          """
        )
        return answer
      }
      return (made, false)
    } catch let error as PostgresError where error.isUniqueViolation && error.table == "idempotency_keys" {
      guard let earlier = try await earlier(pool) else { throw error }
      return (earlier, true)
    }
  }

  private func earlier(_ pool: Pool) async throws -> JSONValue? {
    let rows = try await pool.query(
      """
      SELECT request_hash, response FROM idempotency_keys
      WHERE site_id = \(Self.nobody) AND user_id = \(Self.nobody) AND key = \(text)
      """
    )
    guard let row = rows.first else { return nil }
    guard try row.get("request_hash", as: [UInt8].self) == hash else {
      throw CommandError(.failure, "The key \(text) was used for another command; use a new one for each")
    }
    return try JSONValue.parse(Array(row.get("response", as: String.self).utf8))
  }

  /// An answer with the key, as `--json` prints it.
  func with(_ answer: JSONValue) -> JSONValue {
    var members = answer.objectValue ?? [:]
    members["idempotencyKey"] = .string(text)
    return .object(members)
  }
}
