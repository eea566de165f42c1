import Cryptography
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

  struct Vector: Sendable {
    let context: SealContext
    let keyID: Int64
    let plaintext: [UInt8]
    let blob: String
  }

  // Made with another implementation (Python's cryptography package) from the format's description alone.
  static let vectors = [
    Vector(
      context: context,
      keyID: 7,
      plaintext: Array("secret".utf8),
      blob: "5301010100000007a0a1a2a3a4a5a6a7a8a9aaab957d1f5f20bffacaa6914b0da0dec5bc4e53e74df315"
    ),
    Vector(
      context: SealContext(
        kind: .clientSecret,
        site: .max,
        platform: "",
        connection: -1,
        field: "",
        generation: 0
      ),
      keyID: 4_294_967_295,
      plaintext: [],
      blob: "53010102ffffffffa0a1a2a3a4a5a6a7a8a9aaab3163fac5b6f50cbb3b0cadc2212ddf73"
    ),
    Vector(
      context: .dataKey(id: 9, site: 5),
      keyID: 1,
      plaintext: Array(64..<96),
      blob: "5301010500000001a0a1a2a3a4a5a6a7a8a9aaab"
        + "a6593e6e018e44f82a2ccd984b378e9120fd0b43c6e2143bc4577cdd23f62b5e9e50070252fdfe660a4aef52b12e9026"
    ),
  ]

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
    #expect(Hex.encode(Envelope.checkValue(of: Self.key)) == "70fec6815aabdc54")
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
