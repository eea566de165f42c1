import Testing

@testable import SandboxKit

@Suite struct JSONParserTests {
  private func parse(_ text: String) throws(JSONParser.Failure) -> JSON {
    try JSONParser.parse(Array(text.utf8))
  }

  @Test func readsEveryKindOfValue() throws {
    let json = try parse(#" {"a":[1,-2.5e3,true,false,null],"b":{"c":"x\ny\u00e9\ud83d\ude00\/"}} "#)
    #expect(json["a"] == .array([.number("1"), .number("-2.5e3"), .bool(true), .bool(false), .null]))
    #expect(json["b"]?["c"]?.string == "x\nyé😀/")
  }

  @Test(arguments: [
    "", "{", "{\"a\":1,}", "[1,]", "01", "1.", "1e", "-", "tru", "nul", "{\"a\":1}x", "{\"a\" 1}", "{a:1}", "'a'",
    "\"\u{1}\"", #""\x""#, #""\ud800""#, #""\ud800\u0041""#, #""\udc00""#, #""\u12"#, #"{"a":1,"a":2}"#, "\"abc",
    "[[", "+1", ".5",
  ])
  func refuses(_ text: String) {
    #expect(throws: JSONParser.Failure.self) { try parse(text) }
  }

  @Test func refusesBytesThatAreNotUTF8() {
    #expect(throws: JSONParser.Failure.self) { try JSONParser.parse([0x22, 0xC3, 0x28, 0x22]) }
    #expect(throws: JSONParser.Failure.self) { try JSONParser.parse([0x22, 0x5C, 0x6E, 0xFF, 0x22]) }
  }

  @Test func boundsTheDepth() throws {
    let deep = String(repeating: "[", count: 31) + String(repeating: "]", count: 31)
    _ = try parse(deep)
    #expect(throws: JSONParser.Failure.self) { try parse("[[" + deep + "]]") }
  }

  @Test func writesWhatItReads() throws {
    let text = #"{"a":[1,{"b":"\"\\\n\u0001é"}],"c":null,"d":[],"e":{}}"#
    var writer = JSONWriter()
    writer.value(try parse(text))
    #expect(String(decoding: writer.bytes, as: UTF8.self) == text)
  }
}
