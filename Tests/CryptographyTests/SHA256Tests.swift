import Cryptography
import Testing

@Suite struct SHA256Tests {
  // Messages and digests of FIPS 180-4's examples.
  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
  ])
  func matchesThePublishedExamples(message: String, digest: String) {
    #expect(Hex.encode(SHA256.digest(message)) == digest)
  }

  @Test func digestsInPiecesAsInOne() {
    let bytes = RandomBytes.make(100_000)
    var hash = SHA256()
    var index = 0
    for size in [1, 63, 64, 65, 4_096, 95_711] {
      hash.update(Array(bytes[index..<index + size]))
      index += size
    }
    let digest = hash.digest()
    #expect(index == bytes.count)
    #expect(digest == SHA256.digest(bytes))
  }

  @Test func goesOnAfterAnIntermediateDigest() {
    var hash = SHA256()
    hash.update(Array("ab".utf8))
    let first = hash.digest()
    hash.update(Array("c".utf8))
    let second = hash.digest()
    #expect(first == SHA256.digest("ab"))
    #expect(second == SHA256.digest("abc"))
  }
}
