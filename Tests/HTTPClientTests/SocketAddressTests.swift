import HTTPClient
import Testing

@Suite struct SocketAddressTests {
  @Test func readsNumericAddresses() {
    #expect(SocketAddress(numeric: "10.1.2.3", port: 80)?.bytes == [10, 1, 2, 3])
    #expect(SocketAddress(numeric: "::1", port: 80)?.bytes == [UInt8](repeating: 0, count: 15) + [1])
    #expect(SocketAddress(numeric: "fe80::1", port: 80)?.description == "[fe80:0:0:0:0:0:0:1]:80")
    #expect(SocketAddress(numeric: "10.1.2.3", port: 443)?.description == "10.1.2.3:443")
  }

  @Test func mappedAddressesAreWhatTheyMean() {
    #expect(SocketAddress(numeric: "::ffff:127.0.0.1", port: 1) == SocketAddress(numeric: "127.0.0.1", port: 1))
  }

  @Test(arguments: ["", "localhost", "1.2.3", "1.2.3.4.5", "::g", "010.1.2.3", "1.2.3.4/8"])
  func refusesEverythingElse(text: String) {
    #expect(SocketAddress(numeric: text, port: 80) == nil)
  }

  @Test func refusesOtherLengths() {
    #expect(SocketAddress(bytes: [1, 2, 3], port: 1) == nil)
    #expect(SocketAddress(bytes: [], port: 1) == nil)
  }
}
