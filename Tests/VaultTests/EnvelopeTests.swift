import Cryptography
import FoundationEssentials
import JSONDocument
import TestSupport
import Testing
import Vault

@Suite struct EnvelopeTests {
  static let key = Secret(Array(0..<32))
  static let nonce: [UInt8] = Array(0xa0..<0xac)
  static let context = SealContext(
    kind: .tokens,
    site: 1,
    platform: "x",
    connection: 42,
    field: "credentials",
    generation: 3
  )

  struct Vector: Sendable, CustomTestStringConvertible {
    let about: String
    let context: SealContext
    let keyID: Int64
    let plaintext: [UInt8]
    let blob: String

    var testDescription: String { about }

    init(_ json: JSONValue) throws {
      func number(_ name: String) throws -> Int64 { try #require(json[name]?.int64Value) }
      func text(_ name: String) throws -> String { try #require(json[name]?.stringValue) }
      about = try text("about")
      keyID = try number("keyId")
      plaintext = try #require(Hex.decode(try text("plaintext")))
      blob = try text("blob")
      context = SealContext(
        kind: try #require(SealKind(rawValue: UInt8(try number("kind")))),
        site: try number("site"),
        platform: try text("platform"),
        connection: try number("connection"),
        field: try text("field"),
        generation: try number("generation")
      )
    }
  }

  /// Made with another implementation (Tests/Support/Python/vault.py), which opens them too.
  static let document: JSONValue = {
    let path = TestDatabase.packageFolder + "/Tests/Support/Vectors/vault.json"
    // What can not be read fails the test that counts the vectors.
    guard let data = FileManager.default.contents(atPath: path), let json = try? JSONValue.parse(Array(data)) else {
      return .null
    }
    return json
  }()
  static let vectors = (document["vectors"]?.arrayValue ?? []).compactMap { try? Vector($0) }

  @Test func thereIsAVectorOfEachKind() {
    #expect(Set(Self.vectors.map(\.context.kind)) == Set(SealKind.allCases))
    #expect(Self.vectors.count == Self.document["vectors"]?.arrayValue?.count)
    #expect(Self.document["key"]?.stringValue == Hex.encode(Self.key.reveal()))
    #expect(Self.document["nonce"]?.stringValue == Hex.encode(Self.nonce))
  }

  @Test(arguments: vectors)
  func matchesAnotherImplementation(vector: Vector) throws {
    let plaintext = Secret(vector.plaintext)
    let blob = try Envelope.seal(
      plaintext,
      context: vector.context,
      key: Self.key,
      keyID: vector.keyID,
      nonce: Self.nonce
    )
    #expect(Hex.encode(blob.bytes) == vector.blob)
    let stored = try SealedBlob(stored: try #require(Hex.decode(vector.blob)), keyID: vector.keyID)
    #expect(try Envelope.open(stored, context: vector.context, key: Self.key) == plaintext)
  }

  @Test func checkValueMatchesAnotherImplementation() {
    #expect(Hex.encode(Envelope.checkValue(of: Self.key)) == Self.document["checkValue"]?.stringValue)
  }

  @Test func noncesDiffer() throws {
    let blobs = try (0..<100).map { _ in
      try Envelope.seal(Secret("a"), context: Self.context, key: Self.key, keyID: 7).bytes[8..<20]
    }
    #expect(Set(blobs).count == 100)
  }

  @Test func opensInItsOwnPlaceOnly() throws {
    let blob = try Envelope.seal(Secret("a"), context: Self.context, key: Self.key, keyID: 7)
    #expect(try Envelope.open(blob, context: Self.context, key: Self.key) == Secret("a"))
    let changes: [(inout SealContext) -> Void] = [
      { $0.site = 2 }, { $0.platform = "y" }, { $0.platform = "" }, { $0.connection = 43 }, { $0.field = "other" },
      { $0.generation = 2 }, { $0.generation = 4 }, { $0.kind = .providerKey },
      {
        $0.platform = "xc"; $0.field = "redentials"
      },
      {
        $0.site = 42; $0.connection = 1
      },
    ]
    for change in changes {
      var other = Self.context
      change(&other)
      #expect(throws: VaultError.unreadable) { try Envelope.open(blob, context: other, key: Self.key) }
    }
    #expect(throws: VaultError.unreadable) {
      try Envelope.open(blob, context: Self.context, key: .random(count: 32))
    }
  }

  @Test func refusesEveryFlippedBit() throws {
    let bytes = try Envelope.seal(Secret("token"), context: Self.context, key: Self.key, keyID: 7).bytes
    for bit in 0..<bytes.count * 8 {
      var altered = bytes
      altered[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(throws: VaultError.unreadable) {
        let blob = try SealedBlob(stored: altered, keyID: 7)
        return try Envelope.open(blob, context: Self.context, key: Self.key)
      }
    }
  }

  @Test func refusesEveryCut() throws {
    let bytes = try Envelope.seal(Secret("token"), context: Self.context, key: Self.key, keyID: 7).bytes
    for count in 0..<bytes.count {
      #expect(throws: VaultError.unreadable) {
        let blob = try SealedBlob(stored: Array(bytes[..<count]), keyID: 7)
        return try Envelope.open(blob, context: Self.context, key: Self.key)
      }
    }
    #expect(throws: VaultError.unreadable) {
      try Envelope.open(SealedBlob(stored: bytes + [0], keyID: 7), context: Self.context, key: Self.key)
    }
  }

  @Test(arguments: [0, 1, 2, 3])
  func refusesUnknownHeaders(index: Int) throws {
    var bytes = try Envelope.seal(Secret("a"), context: Self.context, key: Self.key, keyID: 7).bytes
    bytes[index] = 0x7f
    #expect(throws: VaultError.unreadable) { try SealedBlob(stored: bytes, keyID: 7) }
  }

  @Test func refusesAnotherKeyColumn() throws {
    let bytes = try Envelope.seal(Secret("a"), context: Self.context, key: Self.key, keyID: 7).bytes
    #expect(try SealedBlob(stored: bytes, keyID: 7).kind == .tokens)
    #expect(throws: VaultError.unreadable) { try SealedBlob(stored: bytes, keyID: 8) }
    #expect(throws: VaultError.unreadable) { try SealedBlob(stored: bytes, keyID: 7 + 1 << 32) }
  }

  @Test func refusesWhatIsTooLarge() throws {
    let limit = Secret([UInt8](repeating: 0, count: 1 << 20))
    let blob = try Envelope.seal(limit, context: Self.context, key: Self.key, keyID: 7)
    #expect(try Envelope.open(blob, context: Self.context, key: Self.key) == limit)
    #expect(throws: VaultError.tooLarge) {
      try Envelope.seal(Secret(limit.reveal() + [0]), context: Self.context, key: Self.key, keyID: 7)
    }
  }

  @Test func noSwapOpens() throws {
    // Every value of every field against every other: no blob opens anywhere but in its own place.
    var contexts: [SealContext] = []
    for site in [1, 2] as [Int64] {
      for platform in ["a", "ab", ""] {
        for connection in [1, 2] as [Int64] {
          for field in ["b", "ab", ""] {
            for generation in [1, 2] as [Int64] {
              for kind in [SealKind.tokens, .capturedURL] {
                contexts.append(
                  SealContext(
                    kind: kind,
                    site: site,
                    platform: platform,
                    connection: connection,
                    field: field,
                    generation: generation
                  )
                )
              }
            }
          }
        }
      }
    }
    let blobs = try contexts.map { try Envelope.seal(Secret("t"), context: $0, key: Self.key, keyID: 1) }
    var opened = 0
    for (index, blob) in blobs.enumerated() {
      for (place, context) in contexts.enumerated() {
        let result = Result { try Envelope.open(blob, context: context, key: Self.key) }
        if case .success = result {
          opened += 1
          #expect(index == place)
        }
      }
    }
    #expect(opened == contexts.count)
    #expect(blobs.count * contexts.count > 10_000)
  }
}
