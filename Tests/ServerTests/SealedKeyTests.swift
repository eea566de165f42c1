import Cryptography
import JSONDocument
import Testing

@testable import Server

@Suite struct SealedKeyTests {
  private let key = Secret("0123456789abcdef")

  @Test func thePassphraseOpensIt() throws {
    let sealed = try SealedKey.seal(key, with: Secret("a long passphrase"))
    #expect(!sealed.text().contains("0123456789abcdef"))
    #expect(try SealedKey.open(sealed, with: Secret("a long passphrase")) == key)
    #expect(throws: StartError.self) { try SealedKey.open(sealed, with: Secret("a wrong passphrase")) }
    #expect(throws: StartError.self) { try SealedKey.open(["salt": "x"], with: Secret("a long passphrase")) }
  }

  @Test func aShortPassphraseIsRefused() {
    #expect(throws: StartError.self) { try SealedKey.seal(key, with: Secret("short")) }
  }
}
