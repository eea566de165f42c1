import Cryptography
import Testing
import Vault

@Suite struct ConnectionSecretsTests {
  @Test func matchesAnotherImplementation() throws {
    let secrets = ConnectionSecrets(["refresh": Secret("r"), "é": Secret(""), "access": Secret("token")])
    let bytes = "010003000661636365737300000005746f6b656e00077265667265736800000001720002c3a900000000"
    #expect(Hex.encode(try secrets.encoded().reveal()) == bytes)
    #expect(try ConnectionSecrets(decoding: Secret(try #require(Hex.decode(bytes)))) == secrets)
  }

  @Test func nothingRoundTrips() throws {
    let encoded = try ConnectionSecrets().encoded()
    #expect(encoded.reveal() == [1, 0, 0])
    #expect(try ConnectionSecrets(decoding: encoded) == ConnectionSecrets())
  }

  @Test func refusesEveryCutAndTail() throws {
    let bytes = try ConnectionSecrets(["a": Secret("b"), "c": Secret("d")]).encoded().reveal()
    for count in 0..<bytes.count {
      #expect(throws: VaultError.unreadable) { try ConnectionSecrets(decoding: Secret(Array(bytes[..<count]))) }
    }
    #expect(throws: VaultError.unreadable) { try ConnectionSecrets(decoding: Secret(bytes + [0])) }
  }

  @Test(arguments: [
    "020000",  // version
    "010002000161000000000001610000" + "0000",  // the same name twice
    "010002000162000000000001610000" + "0000",  // names out of order
    "0100010001ff00000000",  // not UTF-8
    "010001000161ffffffff",  // a length beyond the end
    "010001ffff61",
  ])
  func refusesOtherForms(hex: String) throws {
    let bytes = try #require(Hex.decode(hex))
    #expect(throws: VaultError.unreadable) { try ConnectionSecrets(decoding: Secret(bytes)) }
  }

  @Test func refusesWhatIsTooLarge() {
    let large = ConnectionSecrets(["a": Secret([UInt8](repeating: 0, count: 1 << 20))])
    #expect(throws: VaultError.tooLarge) { try large.encoded() }
    let named = ConnectionSecrets([String(repeating: "n", count: 65_536): Secret("")])
    #expect(throws: VaultError.tooLarge) { try named.encoded() }
  }

  @Test func showsNoValue() {
    let secrets = ConnectionSecrets(["access": Secret("t0ken")])
    #expect(!"\(secrets) \(String(reflecting: secrets))".contains("t0ken"))
    #expect(secrets["access"]?.revealText() == "t0ken")
  }
}
