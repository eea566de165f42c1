import Cryptography
import Testing

@Suite struct Ed25519Tests {
  private struct Vector {
    let privateKey: String
    let publicKey: String
    let message: String
    let signature: String
  }

  /// RFC 8032, section 7.1, tests 1 to 3.
  private static let vectors = [
    Vector(
      privateKey: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
      message: "",
      signature: "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        + "d25bf5f0595bbe24655141438e7a100b"
    ),
    Vector(
      privateKey: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      publicKey: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
      message: "72",
      signature: "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        + "387b2eaeb4302aeeb00d291612bb0c00"
    ),
    Vector(
      privateKey: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
      publicKey: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
      message: "af82",
      signature: "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        + "4a7c15e9716ed28dc027beceea1ec40a"
    ),
  ]

  @Test func signsAsTheStandardSays() throws {
    for vector in Self.vectors {
      let key = Secret(try #require(Hex.decode(vector.privateKey)))
      let message = try #require(Hex.decode(vector.message))
      let publicKey = try Ed25519.publicKey(of: key)
      #expect(Hex.encode(publicKey) == vector.publicKey)
      let signature = try Ed25519.sign(message, with: key)
      #expect(Hex.encode(signature) == vector.signature)
      #expect(Ed25519.isValid(signature, for: message, publicKey: publicKey))
    }
  }

  @Test func refusesEveryChangedBit() throws {
    let key = Ed25519.makePrivateKey()
    let publicKey = try Ed25519.publicKey(of: key)
    let message = Array("a message".utf8)
    let signature = try Ed25519.sign(message, with: key)
    for bit in 0..<(signature.count * 8) {
      var changed = signature
      changed[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(!Ed25519.isValid(changed, for: message, publicKey: publicKey))
    }
    #expect(!Ed25519.isValid(signature, for: message + [0], publicKey: publicKey))
    let other = try Ed25519.publicKey(of: Ed25519.makePrivateKey())
    #expect(!Ed25519.isValid(signature, for: message, publicKey: other))
  }

  @Test func refusesWhatIsNoKeyOrSignature() throws {
    #expect(throws: CryptographyError.self) { try Ed25519.publicKey(of: Secret([1, 2, 3])) }
    #expect(!Ed25519.isValid([], for: [], publicKey: [UInt8](repeating: 0, count: 32)))
    #expect(!Ed25519.isValid([UInt8](repeating: 0, count: 64), for: [], publicKey: [1]))
    #expect(!Ed25519.isValid([UInt8](repeating: 0, count: 64), for: [], publicKey: [UInt8](repeating: 255, count: 32)))
  }
}
