import JSONText
import Testing

@Suite struct CanonicalJSONTests {
  @Test(arguments: [
    (#" { "b" : 1 , "a" : [ true , null ] } "#, #"{"a":[true,null],"b":1}"#),
    (#"{"b":{"d":1,"c":2},"a":{}}"#, #"{"a":{},"b":{"c":2,"d":1}}"#),
    (#""\u0041\/\u00e9\ud83d\ude00\u000a\u0001""#, #""A/é😀\n\u0001""#),
    ("1.50e1", "15"), ("15", "15"), ("1500e-2", "15"), ("0.1", "1e-1"), ("1e-1", "1e-1"), ("-0", "0"), ("-0.0e5", "0"),
    ("-12.30", "-123e-1"), ("1e21", "1000000000000000000000"), ("1e30", "1e30"), ("10e29", "1e30"), ("0.00", "0"),
    ("9007199254740993", "9007199254740993"), ("123456789012345678901234567890", "123456789012345678901234567890"),
    (#"{"é":1,"z":2,"\u0061":3}"#, #"{"a":3,"z":2,"é":1}"#),
  ])
  func hasOneForm(_ text: String, _ expected: String) throws {
    let canonical = try RawJSON(text: text).canonical()
    #expect(canonical.text == expected)
    #expect(canonical.canonical() == canonical)
    #expect(try RawJSON(text: canonical.text) == canonical)
  }

  @Test func keepsNumbersApartThatADoubleWouldJoin() throws {
    let left = try RawJSON(text: "9007199254740992").canonical()
    let right = try RawJSON(text: "9007199254740993").canonical()
    #expect(left != right)
  }

  @Test func literalsHaveSortedKeys() throws {
    let literal: JSONLiteral = ["b": 1, "a": ["y": nil, "x": [true, 1.5, "s"]]]
    #expect(literal.json.text == #"{"a":{"x":[true,1.5,"s"],"y":null},"b":1}"#)
  }
}
