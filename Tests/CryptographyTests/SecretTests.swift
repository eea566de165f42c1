import Cryptography
import Testing

@Suite struct SecretTests {
  @Test func isNotShownAnywhere() {
    let secret = Secret("hunter2")
    var dumped = ""
    dump(["field": secret], to: &dumped)
    #expect("\(secret)" == "[secret]")
    #expect(String(reflecting: secret) == "[secret]")
    #expect(!dumped.contains("hunter2"))
    #expect(Mirror(reflecting: secret).children.isEmpty)
  }

  @Test func keepsItsBytes() {
    #expect(Secret("grün").revealText() == "grün")
    #expect(Secret([0xff, 0x00]).reveal() == [0xff, 0x00])
    #expect(Secret([0xff, 0x00]).revealText() == nil)
    #expect(Secret([]).isEmpty)
    #expect(Secret([]).reveal() == [])
  }

  @Test func wipesTheSourceWhenAsked() {
    var bytes = Array("hunter2".utf8)
    let secret = Secret(wiping: &bytes)
    #expect(bytes.isEmpty)
    #expect(secret.revealText() == "hunter2")
  }

  @Test func comparesByValue() {
    #expect(Secret("a") == Secret("a"))
    #expect(Secret("a") != Secret("b"))
    #expect(Secret("a") != Secret("ab"))
    #expect(Secret("") == Secret([]))
  }

  @Test func randomBytesDiffer() {
    #expect(RandomBytes.make(0) == [])
    #expect(RandomBytes.make(32).count == 32)
    #expect(RandomBytes.make(32) != RandomBytes.make(32))
    #expect(Secret.random(count: 32) != Secret.random(count: 32))
  }
}
