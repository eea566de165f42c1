import JSONText
import Testing

@Suite struct JSONScannerTests {
  @Test(arguments: [
    "null", "true", "false", "0", "-0", "1", "-1", "10", "1.5", "-0.25", "1e5", "1E+5", "1e-5", "0e0", "1e99999",
    "123456789012345678901234567890", "\"\"", "\"a\"", "\"é😀\"", #""\"\\\/\b\f\n\r\t""#, #""\u0041\u00e9""#,
    #""\ud83d\ude00""#, "\"\u{7F}\"", "[]", "[ ]", "[1]", "[1,2 , 3]", "{}", "{ }", #"{"a":1}"#,
    #" { "a" : [ 1 , { "b" : null } ] , "" : "x" } "#, #"{"a":{"a":{"a":1}}}"#, #"[{"a":1},{"a":2}]"#,
    "\t\r\n[\n]\t",
  ])
  func accepts(_ text: String) throws {
    let value = try RawJSON(text: text)
    #expect(
      value.text == text.split(whereSeparator: { "\t\r\n ".contains($0) }).joined(separator: " ") || value.count > 0
    )
  }

  @Test(arguments: [
    ("", JSONTextError.Problem.unexpectedEnd), (" ", .unexpectedEnd), ("nul", .badLiteral), ("nulL", .badLiteral),
    ("tru", .badLiteral), ("True", .unexpectedCharacter), ("NaN", .unexpectedCharacter), ("+1", .unexpectedCharacter),
    ("01", .badNumber), ("-", .badNumber), ("-01", .badNumber), ("1.", .badNumber), (".5", .unexpectedCharacter),
    ("1e", .badNumber), ("1e+", .badNumber), ("1e100000", .badNumber), ("1e9999999999999999999999", .badNumber),
    ("0x1", .trailingText), ("1 2", .trailingText), ("{}{}", .trailingText), ("\"", .unexpectedEnd),
    ("\"\\", .unexpectedEnd), ("\"a\nb\"", .controlCharacter), ("\"\u{0}\"", .controlCharacter),
    ("\"\u{1F}\"", .controlCharacter), (#""\x""#, .badEscape), (#""\u12""#, .badEscape), (#""\u12g4""#, .badEscape),
    (#""\ud800""#, .loneSurrogate), (#""\ud800\u0041""#, .loneSurrogate), (#""\udc00""#, .loneSurrogate),
    (#""\ud800\ud800""#, .loneSurrogate), ("[", .unexpectedEnd), ("[1", .unexpectedEnd), ("[1,", .unexpectedEnd),
    ("[,]", .unexpectedCharacter), ("[1,]", .unexpectedCharacter), ("[1 2]", .unexpectedCharacter),
    ("[1}", .unexpectedCharacter), ("{", .unexpectedEnd), ("{1:2}", .unexpectedCharacter),
    (#"{"a"}"#, .unexpectedCharacter),
    (#"{"a":}"#, .unexpectedCharacter), (#"{"a":1,}"#, .unexpectedCharacter), (#"{"a":1"#, .unexpectedEnd),
    (#"{"a":1 "b":2}"#, .unexpectedCharacter), (#"{"a":1]"#, .unexpectedCharacter),
    ("\u{FEFF}{}", .unexpectedCharacter),
    (#"{"a":1,"a":2}"#, .duplicateKey), (#"{"a":1,"\u0061":2}"#, .duplicateKey),
    (#"[{"x":{"b":1,"b":1}}]"#, .duplicateKey),
    ("// x\n1", .unexpectedCharacter), ("'a'", .unexpectedCharacter), ("\u{A0}1", .unexpectedCharacter),
  ])
  func refuses(_ text: String, _ problem: JSONTextError.Problem) {
    #expect { try RawJSON(text: text) } throws: { ($0 as? JSONTextError)?.problem == problem }
  }

  @Test(
    arguments: [
      [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xC3, 0x28], [0xE0, 0x80, 0x80], [0xE2, 0x82], [0xED, 0xA0, 0x80],
      [0xED, 0xBF, 0xBF], [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x9F, 0x98], [0xF4, 0x90, 0x80, 0x80],
      [0xF5, 0x80, 0x80, 0x80],
      [0xFE], [0xFF],
    ] as [[UInt8]]
  )
  func refusesBadUTF8(_ inside: [UInt8]) {
    #expect { try RawJSON([0x22] + inside + [0x22]) } throws: { ($0 as? JSONTextError)?.problem == .badUTF8 }
  }

  @Test(
    arguments: [
      [0xC2, 0x80], [0xDF, 0xBF], [0xE0, 0xA0, 0x80], [0xED, 0x9F, 0xBF], [0xEE, 0x80, 0x80], [0xEF, 0xBF, 0xBF],
      [0xF0, 0x90, 0x80, 0x80], [0xF4, 0x8F, 0xBF, 0xBF],
    ] as [[UInt8]]
  )
  func acceptsTheEdgesOfUTF8(_ inside: [UInt8]) throws {
    let value = try RawJSON([0x22] + inside + [0x22])
    #expect(Array(try value.string().utf8) == inside)
  }

  @Test func boundsTheDepth() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    _ = try RawJSON(text: nested(64))
    #expect { try RawJSON(text: nested(65)) } throws: { ($0 as? JSONTextError)?.problem == .tooDeep }
    #expect { try RawJSON(text: nested(200_000)) } throws: { ($0 as? JSONTextError)?.problem == .tooDeep }
    // Neighbours do not add up.
    _ = try RawJSON(text: "[" + Array(repeating: nested(63), count: 50).joined(separator: ",") + "]")
  }

  @Test func findsADuplicateAmongManyKeys() throws {
    let many = (0..<5_000).map { "\"k\($0)\":\($0)" }
    let value = try RawJSON(text: "{" + many.joined(separator: ",") + "}")
    #expect(try value.object().count == 5_000)
    for duplicate in ["k0", "k15", "k16", "k4999", "\\u006b7"] {
      #expect { try RawJSON(text: "{" + many.joined(separator: ",") + ",\"\(duplicate)\":1}") } throws: {
        ($0 as? JSONTextError)?.problem == .duplicateKey
      }
    }
  }

  @Test func survivesEveryPrefixAndEveryChangedByte() throws {
    let text = Array(#"{"a":[1.5e3,"x\u00e9\ud83d\ude00é",{"b":null}],"c":true}"#.utf8)
    _ = try RawJSON(text)
    for end in 0..<text.count {
      #expect(throws: JSONTextError.self) { try RawJSON(Array(text[..<end])) }
    }
    var random = SystemRandomNumberGenerator()
    for _ in 0..<20_000 {
      var changed = text
      changed[Int.random(in: 0..<text.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      // Either answer is fine; what is accepted must be readable to its last value.
      guard let value = try? RawJSON(changed) else { continue }
      _ = value.canonical()
    }
  }
}
