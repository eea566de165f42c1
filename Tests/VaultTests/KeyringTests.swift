import Cryptography
import Testing
import Vault

@Suite struct KeyringTests {
  static let hex = String(repeating: "0a", count: 32)
  static let base64 = Base64.encode([UInt8](repeating: 7, count: 32))

  @Test func hexIsKeyOne() throws {
    for text in [Self.hex, Self.hex.uppercased(), " \(Self.hex)\n"] {
      let ring = try Keyring(Secret(text))
      #expect(ring.entries.map(\.id) == [1])
      #expect(ring.key(1) == Secret([UInt8](repeating: 10, count: 32)))
      #expect(ring.key(2) == nil)
    }
  }

  @Test func entriesKeepTheirOrder() throws {
    let ring = try Keyring(Secret("3:\(Self.base64), 1:\(Base64.encode([UInt8](repeating: 9, count: 32)))\n"))
    #expect(ring.entries.map(\.id) == [3, 1])
    #expect(ring.key(3) == Secret([UInt8](repeating: 7, count: 32)))
    #expect(ring.key(1) == Secret([UInt8](repeating: 9, count: 32)))
  }

  @Test(arguments: [
    "", "  ", "changeme", String(hex.dropLast()), hex + "00", "zz" + hex.dropFirst(2), base64, "1:", ":\(base64)",
    "0:\(base64)", "-1:\(base64)", "4294967296:\(base64)", "one:\(base64)", "1:\(base64.dropLast())", "1:\(hex)",
    "1:AAAA", "1:\(base64),", "1:\(base64),1:\(base64)", "1:\(base64);2:\(base64)",
  ])
  func refusesOtherSettings(text: String) {
    let error = #expect(throws: VaultError.self) { try Keyring(Secret(text)) }
    guard case .invalidKeySetting = error else {
      Issue.record("another error: \(String(describing: error))")
      return
    }
    #expect(text.count < 8 || !String(describing: error).contains(text))
  }

  @Test func showsNoKey() throws {
    let ring = try Keyring(Secret("1:\(Self.base64)"))
    var dumped = ""
    dump(ring, to: &dumped)
    #expect(!dumped.contains(Self.base64))
    #expect(dumped.contains("[secret]"))
  }
}
