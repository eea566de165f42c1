import JSONText
import Testing

@Suite struct RawJSONTests {
  @Test func readsTypedMembers() throws {
    let object = try RawJSON(
      text:
        #" {"s":"a\n\u00e9\ud83d\ude00","i":-42,"d":1.5,"b":true,"n":null,"o":{"x":1},"a":["p", "q" ,"r"],"k\u0065y":7} "#
    ).object()
    #expect(try object.string("s") == "a\né😀")
    #expect(try object.int64("i") == -42)
    #expect(try object.optionalDouble("d") == 1.5)
    #expect(try object.optionalBool("b") == true)
    #expect(try object.optionalString("n") == nil)
    #expect(object["n"]?.isNull == true)
    #expect(try object.object("o").int64("x") == 1)
    #expect(try object.strings("a") == ["p", "q", "r"])
    #expect(try object.int64("key") == 7)
    #expect(try object.optionalInt64("none") == nil)
    #expect(object.keys == ["s", "i", "d", "b", "n", "o", "a", "key"])
  }

  @Test func errorsNameTheField() throws {
    let object = try RawJSON(text: #"{"s":1,"t":{"u":"x"},"a":["b",2]}"#).object()
    #expect { try object.string("s") } throws: { ($0 as? JSONTextError)?.field == "s" }
    #expect { try object.string("gone") } throws: { ($0 as? JSONTextError)?.problem == .missing }
    #expect { try object.int64("t") } throws: { ($0 as? JSONTextError)?.problem == .wrongType }
    #expect { try object.strings("a") } throws: { ($0 as? JSONTextError)?.field == "a" }
  }

  @Test(arguments: [
    ("9223372036854775807", Int64.max), ("-9223372036854775808", Int64.min), ("0", 0), ("-0", 0), ("12", 12),
  ])
  func readsIntegers(_ text: String, _ expected: Int64) throws {
    #expect(try RawJSON(text: text).int64() == expected)
  }

  @Test(arguments: ["9223372036854775808", "-9223372036854775809", "1.0", "1e2", "99999999999999999999999", "\"1\""])
  func refusesWhatIsNoInt64(_ text: String) throws {
    let value = try RawJSON(text: text)
    #expect(throws: JSONTextError.self) { try value.int64() }
  }

  @Test func refusesADoubleOutOfRange() throws {
    #expect(try RawJSON(text: "1e308").double() == 1e308)
    #expect { try RawJSON(text: "1e400").double() } throws: { ($0 as? JSONTextError)?.problem == .outOfRange }
  }

  @Test(arguments: [
    ("", #"{"a":[{"b":1},2],"c/d":3,"e~f":4,"":5,"g":{"":6}}"#), ("/a/0/b", "1"), ("/a/1", "2"), ("/c~1d", "3"),
    ("/e~0f", "4"), ("/", "5"), ("/g/", "6"),
  ])
  func followsPointers(_ pointer: String, _ expected: String) throws {
    let value = try RawJSON(text: #"{"a":[{"b":1},2],"c/d":3,"e~f":4,"":5,"g":{"":6}}"#)
    #expect(value.pointer(pointer)?.text == expected)
  }

  @Test(arguments: ["a", "/x", "/a/2", "/a/01", "/a/-", "/a/0/b/c", "/a/99999999999999999999"])
  func findsNothingBehindWrongPointers(_ pointer: String) throws {
    #expect(try RawJSON(text: #"{"a":[{"b":1},2]}"#).pointer(pointer) == nil)
  }

  @Test func walksArraysWithAnyWhiteSpace() throws {
    let elements = try RawJSON(text: "[ 1 ,\"a,]\" , [2,[3]] ,{\"x\":[]}, null ]").array().map(\.text)
    #expect(elements == ["1", "\"a,]\"", "[2,[3]]", "{\"x\":[]}", "null"])
    #expect(try RawJSON(text: "[ ]").array().map(\.text).isEmpty)
  }

  @Test func partsShareTheBytesOfTheWhole() throws {
    let value = try RawJSON(text: #"{"a": {"b": [1, 2]} }"#)
    #expect(value.pointer("/a")?.text == #"{"b": [1, 2]}"#)
    #expect(value.pointer("/a/b")?.bytes.startIndex == 12)
  }
}
