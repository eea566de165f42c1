import Foundation
import Postgres
import TestSupport
import Testing

@testable import AuditChain

/// Whatever a superuser does to sealed rows with all triggers off is found at its place.
@Suite(.database, .timeLimit(.minutes(10))) struct AuditVerifierTests {
  /// Numbers that come again with the same seed (SplitMix64).
  private struct Numbers: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var value = state
      value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
      value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
      return value ^ (value >> 31)
    }
  }

  private static let rows: Int64 = 120

  /// Statements, the place where they must be found, and what as.
  private typealias Edit = (name: String, statements: [SQL], seq: Int64, kinds: Set<AuditProblem.Kind>)

  private static func at(_ seq: Int64, _ change: SQL) -> SQL {
    "UPDATE audit_logs SET \(fragment: change) WHERE seq = \(seq)"
  }

  private static func update(_ seq: Int64, _ numbers: inout Numbers) -> Edit {
    let changes: [(String, SQL)] = [
      ("site", "site_id = CASE WHEN site_id IS NULL THEN (SELECT min(id) FROM sites) END"),
      ("user", "user_id = CASE WHEN user_id IS NULL THEN (SELECT min(id) FROM users) END"),
      ("action", "action = 'user.create'"), ("subject", "subject = subject || '0'"),
      ("details", "details = details || '{\"x\": 1}'"), ("scale", "details = details || '{\"n\": 0.10}'"),
      ("address", "address = coalesce(address || '9', '')"), ("agent", "user_agent = nullif(user_agent || 'x', 'x')"),
      ("instant", "created_at = created_at + interval '1 microsecond'"),
      ("transaction", "xid = (xid::text::bigint - 1)::text::xid8"),
      ("previous hash", "prev_hash = set_byte(prev_hash, 31, get_byte(prev_hash, 31) # 1)"),
      ("hash", "hash = set_byte(hash, 0, get_byte(hash, 0) # 128)"),
      ("code", "mac = set_byte(mac, 7, get_byte(mac, 7) # 1)"), ("no code", "mac = ''"),
      ("key", "mac_key = mac_key + 1"),
      ("seal of another row", "(hash, mac) = (SELECT hash, mac FROM audit_logs WHERE seq = \(seq == 1 ? 2 : seq - 1))"),
    ]
    let (name, change) = changes[Int.random(in: changes.indices, using: &numbers)]
    return ("update of \(name)", [at(seq, change)], seq, [.changed])
  }

  private static func deletion(_ seq: Int64, _ numbers: inout Numbers) -> Edit {
    let removal: SQL = "DELETE FROM audit_logs WHERE seq = \(seq)"
    let last = seq == rows
    switch Int.random(in: 0..<3, using: &numbers) {
    case 0: return ("deletion", [removal], seq, [last ? .truncated : .missing])
    case 1:
      return (
        "deletion and renumbering",
        [removal] + shift(after: seq, by: -1), seq, [last ? .truncated : .missing]
      )
    default:
      return (
        "unsealing",
        [at(seq, "seq = NULL, prev_hash = NULL, hash = NULL, mac = NULL, mac_key = NULL")], seq,
        [last ? .truncated : .missing]
      )
    }
  }

  /// Numbers are unique at every moment, so all go far away first.
  private static func shift(after seq: Int64, by step: Int64) -> [SQL] {
    [
      "UPDATE audit_logs SET seq = seq + 1000000 WHERE seq > \(seq)",
      "UPDATE audit_logs SET seq = seq - 1000000 + \(step) WHERE seq > 1000000",
    ]
  }

  private static func insertion(_ seq: Int64, _ numbers: inout Numbers) -> Edit {
    // A copy of a real row with its seal, or something that looks like a seal.
    let isCopy = Bool.random(using: &numbers)
    let seal: SQL = isCopy ? "prev_hash, hash, mac, mac_key" : "prev_hash, sha256(hash), sha256(mac), mac_key"
    let statements: [SQL] = [
      """
      INSERT INTO audit_logs (site_id, action, subject, details, seq, prev_hash, hash, mac, mac_key)
      SELECT site_id, action, 'post:forged', details, \(seq), \(fragment: seal) FROM audit_logs WHERE seq = \(seq + 1)
      """
    ]
    return (
      isCopy ? "copied row put in" : "forged row put in", shift(after: seq - 1, by: 1) + statements, seq,
      isCopy ? [.changed, .inserted, .order, .missing] : [.inserted]
    )
  }

  private static func swap(_ seq: Int64, _ numbers: inout Numbers) -> Edit {
    var other = seq
    while other == seq { other = Int64.random(in: 1...rows, using: &numbers) }
    return (
      "swap of \(seq) and \(other)",
      [
        "UPDATE audit_logs SET seq = 1000000 WHERE seq = \(seq)",
        "UPDATE audit_logs SET seq = \(seq) WHERE seq = \(other)",
        "UPDATE audit_logs SET seq = \(other) WHERE seq = 1000000",
      ],
      min(seq, other), [.order, .missing]
    )
  }

  private static func truncation(_ seq: Int64, _ numbers: inout Numbers) -> Edit {
    var statements: [SQL] = ["DELETE FROM audit_logs WHERE seq >= \(seq)"]
    // The more is adapted, the more only the heads apart from the database know.
    let effort = Int.random(in: 0..<3, using: &numbers)
    if effort > 0 {
      statements.append(
        """
        UPDATE audit_state SET seq = \(seq - 1), hash = (SELECT hash FROM audit_logs WHERE seq = \(seq - 1))
        """
      )
    }
    if effort > 1 { statements.append("DELETE FROM audit_heads WHERE seq >= \(seq)") }
    return ("truncation with effort \(effort)", statements, seq, [.truncated])
  }

  private static func headEdit(_ seq: Int64, _ numbers: inout Numbers) -> Edit {
    // Heads stand at every tenth row.
    let head = max(10, seq / 10 * 10)
    let changes: [(String, SQL)] = [
      ("hash", "hash = sha256(hash)"), ("instant", "made_at = made_at + interval '1 microsecond'"),
      ("signature", "signature = set_byte(signature, 3, get_byte(signature, 3) # 1)"),
      ("kind", "is_checkpoint = true"),
    ]
    let (name, change) = changes[Int.random(in: changes.indices, using: &numbers)]
    return ("head's \(name)", ["UPDATE audit_heads SET \(fragment: change) WHERE seq = \(head)"], head, [.head])
  }

  /// Looks at the trail after the statements, and takes them back. Each time a transaction of its own: a long one would
  /// hold back every reader of this server.
  private static func looking(
    _ fixture: ChainFixture,
    after statements: [SQL],
    _ look: ((SQL) async throws -> [Row]) async throws -> AuditReport
  ) async throws -> AuditReport {
    struct TakenBack: Error {}
    var report: AuditReport?
    do {
      try await fixture.pool.transaction { tx in
        try await tx.execute("SET LOCAL session_replication_role = replica")
        for statement in statements { try await tx.execute(statement) }
        report = try await look { try await tx.query($0) }
        throw TakenBack()
      }
    } catch is TakenBack {
      // As it must be.
    }
    return try #require(report)
  }

  @Test func aThousandEditsAreFoundAtTheirPlaces() async throws {
    let seed = ProcessInfo.processInfo.environment["ROSTRUM_SEED"].flatMap { UInt64($0) } ?? .random(in: 0...UInt64.max)
    print("AuditVerifierTests: ROSTRUM_SEED=\(seed)")
    var numbers = Numbers(state: seed)
    try await ChainFixture.run { fixture in
      try await fixture.write(Int(Self.rows))
      try await fixture.seal(headEvery: 10, batch: 10)
      _ = try await fixture.keeper().round()
      let archive = try await fixture.archive.read()
      #expect(archive.heads.count == 12 && archive.tip?.seq == Self.rows)
      let verifier = AuditVerifier(keys: fixture.keys)
      var found: [String: Int] = [:]
      for round in 0..<1_000 {
        let seq = Int64.random(in: 1...Self.rows, using: &numbers)
        let edit: Edit =
          switch round % 6 {
          case 0: Self.update(seq, &numbers)
          case 1: Self.deletion(seq, &numbers)
          case 2: Self.insertion(min(seq, Self.rows - 1), &numbers)
          case 3: Self.swap(seq, &numbers)
          case 4: Self.truncation(seq, &numbers)
          default: Self.headEdit(seq, &numbers)
          }
        let report = try await Self.looking(fixture, after: edit.statements) {
          try await verifier.verify(anchored: archive, query: $0)
        }
        let first = report.problems.first
        #expect(first?.seq == edit.seq, "\(edit.name) at \(edit.seq), seed \(seed): \(report.problems)")
        if let first { #expect(edit.kinds.contains(first.kind), "\(edit.name) at \(edit.seq), seed \(seed): \(first)") }
        found[first?.kind.rawValue ?? "nothing", default: 0] += 1
      }
      #expect(try await fixture.report().problems == [])
      print("AuditVerifierTests: found \(found.sorted { $0.key < $1.key })")
      #expect(found["nothing"] == nil)
      #expect(found.values.reduce(0, +) == 1_000)
    }
  }

  /// Rows that nobody seals are told, and where the installation is another one nothing fits.
  @Test func rowsThatWaitForLongAndForeignChains() async throws {
    try await ChainFixture.run { fixture in
      try await fixture.write(4)
      try await fixture.seal()
      _ = try await fixture.keeper().round()
      try await fixture.pool.execute(
        "INSERT INTO audit_logs (action, subject, created_at) VALUES ('site.create', 's', now() - interval '2 minutes')"
      )
      try await fixture.settle()
      let waiting = try await fixture.report()
      #expect(waiting.problems.map(\.kind) == [.unsealed])
      #expect(waiting.problems.first?.seq == 5)
      try await fixture.seal()
      #expect(try await fixture.report().isIntact)
      try await fixture.pool.execute("UPDATE installation SET id = gen_random_uuid()")
      let kinds = Set(try await fixture.report().problems.map(\.kind))
      #expect(kinds.contains(.head))
      #expect(kinds.count > 1)
    }
  }
}
