import FoundationEssentials
import JSONDocument
import Testing

@Suite struct JSONWriterTests {
  @Test func putsCommasWhereTheyBelong() throws {
    var writer = JSONWriter()
    writer.object { writer in
      writer.field("id", 7)
      writer.field("name", nil as String?)
      writer.field("tags", ["a", "b"])
      writer.field("items") { writer in
        writer.array { writer in
          writer.value(1)
          writer.object { _ in }
          writer.array { _ in }
          writer.object { $0.field("at", Date(timeIntervalSince1970: 0)) }
        }
      }
      writer.field("raw", raw: "{\"x\":1}")
      writer.field("ok", true)
    }
    #expect(
      writer.text == #"{"id":7,"name":null,"tags":["a","b"],"items":[1,{},[],{"at":"1970-01-01T00:00:00.000Z"}],"#
        + #""raw":{"x":1},"ok":true}"#
    )
    _ = try JSONValue.parse(writer.bytes)
  }

  @Test func everyStringIsReadBackAsItWas() throws {
    var text = ""
    for scalar in (1...0x2FF).compactMap(Unicode.Scalar.init) { text.unicodeScalars.append(scalar) }
    var writer = JSONWriter()
    writer.value(text)
    #expect(try JSONValue.parse(writer.bytes) == .string(text))
  }
}
