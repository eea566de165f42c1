import JSONDocument
import Testing

@Suite struct JSONValueTests {
  @Test func readsEveryKindOfValue() throws {
    let value = try JSONValue.parse(#"{"a":[1,-2.5,1e2,"é\n\u00e9",true,false,null],"b":{}}"#)
    #expect(
      value == ["a": [1, -2.5, .double(100), "é\né", true, false, nil], "b": [:]]
    )
  }

  @Test(arguments: ["1", "\"x\"", "null", "true", "[]", " {} \n"])
  func takesAnyValueAtTheTop(text: String) throws {
    _ = try JSONValue.parse(text)
  }

  @Test(
    arguments: [
      (#"{"a":1,"a":2}"#, JSONError.Code.duplicateName),
      ("{\"e\u{301}\":1,\"\u{e9}\":2}", .duplicateName),
      (#"{"a":1"#, .incomplete),
      ("", .incomplete),
      (#""a\u0000b""#, .nulCharacter),
      (#"{"a\u0000b":1}"#, .nulCharacter),
      ("9223372036854775808", .numberOutOfRange),
      ("1e999", .numberOutOfRange),
      ("[1] x", .invalidSyntax),
      ("[1,]", .invalidSyntax),
      ("[01]", .invalidSyntax),
      ("[NaN]", .invalidSyntax),
      ("['a']", .invalidSyntax),
      (#"["\ud800"]"#, .invalidSyntax),
      ("[\"a\nb\"]", .invalidSyntax),
      ("\u{FEFF}[]", .invalidSyntax),
      ("]", .invalidSyntax),
    ]
  )
  func refuses(text: String, code: JSONError.Code) {
    let error = #expect(throws: JSONError.self) { try JSONValue.parse(text) }
    #expect(error?.code == code, "\(String(describing: error))")
  }

  @Test(arguments: [[0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22]] as [[UInt8]])
  func refusesInvalidUTF8(bytes: [UInt8]) {
    let error = #expect(throws: JSONError.self) { try JSONValue.parse(bytes) }
    #expect(error?.code == .invalidUTF8)
  }

  @Test func refusesWhatIsTooDeepOrTooLarge() throws {
    let three = "[[[]]]"
    _ = try JSONValue.parse(three, maximumDepth: 3)
    #expect(throws: JSONError.self) { try JSONValue.parse(three, maximumDepth: 2) }
    _ = try JSONValue.parse(#"["[[[[", "\"[["]"#, maximumDepth: 1)
    let bomb = String(repeating: "[", count: 900_000)
    #expect(throws: JSONError.self) { try JSONValue.parse(bomb, maximumDepth: .max) }
    _ = try JSONValue.parse("[1]", maximumBytes: 3)
    let error = #expect(throws: JSONError.self) { try JSONValue.parse("[1]", maximumBytes: 2) }
    #expect(error?.code == .tooLarge)
  }

  @Test func errorsNeverQuoteTheText() {
    let error = #expect(throws: JSONError.self) { try JSONValue.parse(#"{"token": hunter2}"#) }
    #expect(error.map { !"\($0)".contains("hunter2") } == true)
    #expect(error?.line == 1)
  }

  @Test func writesTheSameBytesForTheSameValue() throws {
    let value: JSONValue = ["b": 1, "a": ["z": nil, "é": 2.5], "A": "\u{1}\"\\\n/é\u{7f}"]
    let text = value.text()
    #expect(text == "{\"A\":\"\\u0001\\\"\\\\\\n/é\u{7f}\",\"a\":{\"z\":null,\"é\":2.5},\"b\":1}")
    #expect(try JSONValue.parse(text) == value)
    #expect(try JSONValue.parse(value.serialized(sortedKeys: false)) == value)
  }

  @Test(arguments: [0.1, -0.5, 1e300, .leastNonzeroMagnitude, 123_456_789_012_345_680, 1e16, 3])
  func doublesSurviveTheRoundTrip(number: Double) throws {
    let text = JSONValue.double(number).text()
    #expect(try JSONValue.parse(text) == .double(number))
  }

  @Test func writesNoNumberForNaN() {
    #expect(JSONValue.array([.double(.nan), .double(.infinity)]).text() == "[null,null]")
  }

  @Test(
    arguments: [
      ("/a/0", "1"), ("/a/1/b", "2"), ("/x~1y", "3"), ("/m~0n", "4"), ("/", "5"), ("/a/1", #"{"b":2}"#),
      ("/a/2", nil), ("/a/01", nil), ("/a/-1", nil), ("/a/x", nil), ("a", nil), ("/m~2n", nil), ("/a/1/b/c", nil),
    ] as [(String, String?)]
  )
  func findsByPointer(pointer: String, expected: String?) {
    let value: JSONValue = ["a": [1, ["b": 2]], "x/y": 3, "m~n": 4, "": 5]
    #expect(value.pointer(pointer)?.text() == expected)
    #expect(value.pointer("") == value)
  }
}
