import Testing

@testable import SandboxKit

@Suite struct SHA256Tests {
  /// Vectors of FIPS 180-4 and RFC 4231.
  @Test func agreesWithThePublishedVectors() {
    #expect(
      Hexadecimal.string(SHA256.digest([])) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    #expect(
      Hexadecimal.string(SHA256.digest(Array("abc".utf8)))
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    #expect(
      Hexadecimal.string(SHA256.digest([UInt8](repeating: UInt8(ascii: "a"), count: 1_000)))
        == "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3"
    )
    #expect(
      Hexadecimal.string(HMACSHA256.code(key: Array("Jefe".utf8), message: Array("what do ya want for nothing?".utf8)))
        == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )
    let longKey = [UInt8](repeating: 0xaa, count: 131)
    let message = Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8)
    #expect(
      Hexadecimal.string(HMACSHA256.code(key: longKey, message: message))
        == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    )
  }

  @Test(arguments: [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 128, 1000])
  func isTheSameInPieces(count: Int) {
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    for cut in [0, count / 3, count] {
      var hash = SHA256()
      hash.update(Array(bytes[..<cut]))
      hash.update(Array(bytes[cut...]))
      #expect(hash.finish() == SHA256.digest(bytes))
    }
  }

  @Test func readsBase64Strictly() {
    #expect(Base64.decode("AAECAw==") == [0, 1, 2, 3])
    #expect(Base64.decode("+/+/") == [0xFB, 0xFF, 0xBF])
    for text in ["AAECAw", "AAECAw=", "-_-_", "AAE CAw==", "AAECAx==", "A===", "====", "AA=A"] {
      #expect(Base64.decode(text) == nil, "\(text)")
    }
    for count in 0..<20 {
      let bytes = (0..<count).map { UInt8($0 &* 13) }
      #expect(Base64.decode(Base64.encode(bytes)) == bytes)
    }
  }
}
