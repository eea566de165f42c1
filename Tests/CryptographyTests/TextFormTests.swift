import Cryptography
import Testing

@Suite struct TextFormTests {
  // RFC 4648, section 10.
  @Test(arguments: [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
    ("foobar", "Zm9vYmFy"),
  ])
  func base64MatchesRFC4648(plain: String, text: String) {
    #expect(Base64.encode(Array(plain.utf8)) == text)
    #expect(Base64.decode(text) == Array(plain.utf8))
    let unpadded = text.replacing("=", with: "")
    #expect(Base64.encodeURL(Array(plain.utf8)) == unpadded)
    #expect(Base64.decodeURL(unpadded) == Array(plain.utf8))
  }

  @Test func alphabetsDiffer() {
    #expect(Base64.encode([0xfb, 0xff]) == "+/8=")
    #expect(Base64.encodeURL([0xfb, 0xff]) == "-_8")
    #expect(Base64.decode("-_8=") == nil)
    #expect(Base64.decodeURL("+/8") == nil)
  }

  @Test(arguments: ["Z", "Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm9=", "Zg==Zg==", "Zm 9", "Zm9v\n", "Zmé="])
  func base64RefusesOtherForms(text: String) {
    #expect(Base64.decode(text) == nil)
  }

  @Test func hexRoundTrips() {
    let bytes = Array(UInt8.min...UInt8.max)
    #expect(Hex.decode(Hex.encode(bytes)) == bytes)
    #expect(Hex.decode("00fFAb") == [0x00, 0xff, 0xab])
    #expect(Hex.encode([]) == "")
  }

  @Test(arguments: ["0", "0g", "0x", " 00", "００"])
  func hexRefusesOtherForms(text: String) {
    #expect(Hex.decode(text) == nil)
  }
}
