import Cryptography
import Foundation
import JSONDocument
import TestSupport
import Testing

@testable import AuditChain

/// Known answers, which an independent Python implementation computes as well.
@Suite struct ChainRowTests {
  private static func vectors() throws -> JSONValue {
    let path = TestDatabase.packageFolder + "/Tests/Support/Vectors/audit.json"
    let data = try #require(FileManager.default.contents(atPath: path))
    return try JSONValue.parse([UInt8](data))
  }

  private func bytes(_ value: JSONValue?) throws -> [UInt8] {
    try #require(value?.stringValue.flatMap { Hex.decode($0) })
  }

  private func row(_ value: JSONValue) throws -> ChainRow {
    ChainRow(
      id: try #require(value["id"]?.int64Value),
      transaction: try #require(value["transaction"]?.int64Value),
      at: try #require(value["at"]?.int64Value),
      site: value["site"]?.int64Value,
      user: value["user"]?.int64Value,
      action: try #require(value["action"]?.stringValue),
      subject: try #require(value["subject"]?.stringValue),
      details: try #require(value["details"]?.stringValue),
      address: value["address"]?.stringValue,
      userAgent: value["userAgent"]?.stringValue
    )
  }

  @Test func rowsHaveTheKnownHashesAndCodes() throws {
    let vectors = try Self.vectors()
    let chain = try #require(vectors["chain"]?.stringValue.flatMap { UUID(uuidString: $0) })
    let key = try ChainKey(id: #require(vectors["keyId"]?.int64Value), secret: Secret(bytes(vectors["key"])))
    #expect(key.publicKey == (try bytes(vectors["publicKey"])))
    var previous = ChainHead.genesis(chain)
    #expect(previous == (try bytes(vectors["genesis"])))
    let rows = try #require(vectors["rows"]?.arrayValue)
    #expect(rows.count >= 3)
    for value in rows {
      let row = try row(value)
      let seq = try #require(value["seq"]?.int64Value)
      #expect(row.canonical(seq: seq, previous: previous) == (try bytes(value["canonical"])))
      let hash = row.hash(seq: seq, previous: previous)
      #expect(hash == (try bytes(value["hash"])))
      #expect(key.code(of: hash) == (try bytes(value["mac"])))
      previous = hash
    }
    let head = try ChainHead.signed(
      .head,
      chain: chain,
      seq: Int64(rows.count),
      hash: previous,
      at: try #require(vectors.pointer("/head/atUs")?.int64Value),
      key: key
    )
    #expect(head.json(publicKey: key.publicKey) == vectors["head"])
    #expect(try ChainHead(json: #require(vectors["head"])) == head)
    #expect(head.isValid(under: key))
  }

  /// Every field stands in the hash, and nothing is read as a part of its neighbour.
  @Test func everyFieldCounts() {
    let row = ChainRow(
      id: 1,
      transaction: 2,
      at: 3,
      site: 4,
      user: 5,
      action: "ab",
      subject: "cd",
      details: "{}",
      address: "e",
      userAgent: "f"
    )
    let previous = [UInt8](repeating: 7, count: 32)
    var hashes: Set<[UInt8]> = [
      row.hash(seq: 1, previous: previous), row.hash(seq: 2, previous: previous), row.hash(seq: 1, previous: [7]),
    ]
    func add(_ change: (inout ChainRow) -> Void) {
      var other = row
      change(&other)
      hashes.insert(other.hash(seq: 1, previous: previous))
    }
    add { $0.id = 2 }
    add { $0.transaction = 3 }
    add { $0.at = 4 }
    add { $0.site = nil }
    add { $0.site = 5 }
    add { $0.user = nil }
    add { ($0.action, $0.subject) = ("abc", "d") }
    add { ($0.action, $0.subject) = ("a", "bcd") }
    add { $0.details = "{} " }
    add { $0.address = nil }
    add { $0.address = "" }
    add { $0.userAgent = nil }
    #expect(hashes.count == 15)
  }
}
