import JSONText
import Testing

@Suite struct JSONWriterTests {
  @Test func putsCommasWhereTheyBelong() throws {
    let value = RawJSON.object { writer in
      writer.field("a", 1)
      writer.object("b") { writer in
        writer.field("c", "x")
        writer.field("gone", nil as String?)
        writer.field("d", [String]())
      }
      writer.array("e", [1, 2]) { $0.int($1) }
      writer.field("f", RawJSON.null)
      writer.field("g", true)
      writer.field("h", Double.infinity)
    }
    #expect(value.text == #"{"a":1,"b":{"c":"x","d":[]},"e":[1,2],"f":null,"g":true,"h":null}"#)
    #expect(try RawJSON(text: value.text) == value)
  }

  @Test func keepsEverythingOnOneLine() throws {
    let raw = try RawJSON(text: "{\n  \"a\": [\r\n    \"x\\n\"\n  ]\n}")
    let value = RawJSON.object { $0.field("raw", raw) }
    #expect(!value.bytes.contains(0x0A))
    #expect(try RawJSON(text: value.text).canonical().text == #"{"raw":{"a":["x\n"]}}"#)
  }

  @Test func escapesExactlyWhatMustBe() throws {
    for scalar in (0...0x2FF).compactMap(Unicode.Scalar.init) + ["\u{2028}", "😀", "\u{FFFF}"] {
      let text = "a\(scalar)b"
      let written = RawJSON.string(text)
      #expect(try RawJSON(text: written.text).string() == text)
    }
    #expect(RawJSON.string("\"\\\n\u{1}\u{1F}/").text == #""\"\\\n\u0001\u001f/""#)
  }
}
