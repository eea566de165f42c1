import Cryptography
import Testing

@Suite struct AESGCMTests {
  struct Vector: Sendable {
    let key: String
    let nonce: String
    let plaintext: String
    let aad: String
    let sealed: String
  }

  // Test cases 13 to 16 of the specification submitted to NIST (AES-256, 96-bit nonce).
  static let vectors = [
    Vector(
      key: "0000000000000000000000000000000000000000000000000000000000000000",
      nonce: "000000000000000000000000",
      plaintext: "",
      aad: "",
      sealed: "530f8afbc74536b9a963b4f1c4cb738b"
    ),
    Vector(
      key: "0000000000000000000000000000000000000000000000000000000000000000",
      nonce: "000000000000000000000000",
      plaintext: "00000000000000000000000000000000",
      aad: "",
      sealed: "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"
    ),
    Vector(
      key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
      nonce: "cafebabefacedbaddecaf888",
      plaintext: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        + "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
      aad: "",
      sealed: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        + "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
        + "b094dac5d93471bdec1a502270e3cc6c"
    ),
    Vector(
      key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
      nonce: "cafebabefacedbaddecaf888",
      plaintext: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        + "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
      aad: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
      sealed: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        + "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        + "76fc6ece0f4e1768cddf8853bb2d551b"
    ),
  ]

  @Test(arguments: vectors)
  func matchesTheSubmittedTestCases(vector: Vector) throws {
    let key = Secret(try #require(Hex.decode(vector.key)))
    let nonce = try #require(Hex.decode(vector.nonce))
    let plaintext = try #require(Hex.decode(vector.plaintext))
    let aad = try #require(Hex.decode(vector.aad))
    let sealed = try AESGCM.seal(Secret(plaintext), key: key, nonce: nonce, aad: aad)
    #expect(Hex.encode(sealed) == vector.sealed)
    #expect(try AESGCM.open(sealed, key: key, nonce: nonce, aad: aad).reveal() == plaintext)
  }

  @Test func refusesEveryFlippedBit() throws {
    let key = Secret.random(count: 32)
    let nonce = RandomBytes.make(12)
    let sealed = try AESGCM.seal(Secret("token"), key: key, nonce: nonce, aad: [7])
    for bit in 0..<sealed.count * 8 {
      var altered = sealed
      altered[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(throws: CryptographyError.authenticationFailed) {
        try AESGCM.open(altered, key: key, nonce: nonce, aad: [7])
      }
    }
  }

  @Test func refusesAnotherContext() throws {
    let key = Secret.random(count: 32)
    let nonce = RandomBytes.make(12)
    let sealed = try AESGCM.seal(Secret("token"), key: key, nonce: nonce, aad: [7])
    #expect(throws: CryptographyError.authenticationFailed) {
      try AESGCM.open(sealed, key: key, nonce: nonce, aad: [8])
    }
    #expect(throws: CryptographyError.authenticationFailed) {
      try AESGCM.open(sealed, key: key, nonce: RandomBytes.make(12), aad: [7])
    }
    #expect(throws: CryptographyError.authenticationFailed) {
      try AESGCM.open(sealed, key: .random(count: 32), nonce: nonce, aad: [7])
    }
    #expect(throws: CryptographyError.authenticationFailed) {
      try AESGCM.open(Array(sealed.prefix(15)), key: key, nonce: nonce, aad: [7])
    }
  }

  @Test func refusesWrongLengths() {
    #expect(throws: CryptographyError.invalidParameter("key")) {
      try AESGCM.seal(Secret("a"), key: .random(count: 16), nonce: RandomBytes.make(12), aad: [])
    }
    #expect(throws: CryptographyError.invalidParameter("nonce")) {
      try AESGCM.seal(Secret("a"), key: .random(count: 32), nonce: RandomBytes.make(16), aad: [])
    }
  }
}
