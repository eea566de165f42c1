import Cryptography
import Testing

@Suite struct KeyDerivationTests {
  // RFC 5869, appendix A.1 to A.3.
  @Test func hkdfMatchesRFC5869() throws {
    let first = try HKDF.derive(
      key: Secret([UInt8](repeating: 0x0b, count: 22)),
      salt: Array(0x00...0x0c),
      info: Array(0xf0...0xf9),
      count: 42
    )
    #expect(
      Hex.encode(first.reveal())
        == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )
    let second = try HKDF.derive(
      key: Secret(Array(0x00...0x4f)),
      salt: Array(0x60...0xaf),
      info: Array(0xb0...0xff),
      count: 82
    )
    #expect(
      Hex.encode(second.reveal())
        == "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
        + "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
    )
    let third = try HKDF.derive(key: Secret([UInt8](repeating: 0x0b, count: 22)), info: [], count: 42)
    #expect(
      Hex.encode(third.reveal())
        == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    )
  }

  @Test func hkdfRefusesCountsOutOfRange() {
    #expect(throws: CryptographyError.invalidParameter("count")) {
      try HKDF.derive(key: Secret("k"), info: [], count: 0)
    }
    #expect(throws: CryptographyError.invalidParameter("count")) {
      try HKDF.derive(key: Secret("k"), info: [], count: 8_161)
    }
  }

  // RFC 7914, section 12.
  @Test func scryptMatchesRFC7914() throws {
    let empty = try Scrypt.derive(password: Secret(""), salt: [], parameters: .init(n: 16, r: 1, p: 1), count: 64)
    #expect(
      Hex.encode(empty.reveal())
        == "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
        + "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"
    )
    let salted = try Scrypt.derive(
      password: Secret("password"),
      salt: Array("NaCl".utf8),
      parameters: .init(n: 1_024, r: 8, p: 16),
      count: 64
    )
    #expect(
      Hex.encode(salted.reveal())
        == "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
        + "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"
    )
  }

  @Test func scryptRefusesWrongCosts() {
    #expect(throws: CryptographyError.invalidParameter("scrypt parameters")) {
      try Scrypt.derive(password: Secret("p"), salt: [], parameters: .init(n: 1_000, r: 8, p: 1))
    }
    #expect(throws: CryptographyError.invalidParameter("scrypt parameters")) {
      try Scrypt.derive(password: Secret("p"), salt: [], parameters: .init(n: 1 << 30, r: 8, p: 1))
    }
  }
}
