import JSONDocument
import Testing

@testable import AdminAPI

@Suite struct SchemaTests {
  private let schema = Schema.object([
    .required("name", .string(1...3)), .optional("n", .nullable(.integer(1...5))),
    .optional("list", .array(.choice(["a", "b"]), 0...2)), .optional("map", .map(.boolean, limit: 1)),
    .optional("when", .instant), .optional("link", Schema.url), .optional("free", .any),
  ])

  private func check(_ text: String) throws -> FieldError? {
    let value = try JSONValue.parse(Array(text.utf8))
    do throws(FieldError) {
      try schema.check(value, at: "")
      return nil
    } catch {
      return error
    }
  }

  @Test(arguments: [
    #"{"name":"a"}"#, #"{"name":"äöü"}"#, #"{"name":"a","n":null}"#, #"{"name":"a","n":5}"#,
    #"{"name":"a","list":["a","b"]}"#, #"{"name":"a","map":{"x":true}}"#, #"{"name":"a","free":[{"x":[1]}]}"#,
    #"{"name":"a","when":"2026-01-02T03:04:05+02:00"}"#, #"{"name":"a","link":"http://a.example/x?y#z"}"#,
  ])
  func takes(text: String) throws {
    #expect(try check(text) == nil)
  }

  @Test(arguments: [
    ("{}", "name"), (#"{"name":"abcd"}"#, "name"), (#"{"name":"a","x":1}"#, "x"), (#"{"name":"a","n":0}"#, "n"),
    (#"{"name":"a","n":1.5}"#, "n"), (#"{"name":"a","n":"1"}"#, "n"), (#"{"name":"a","list":["c"]}"#, "list[0]"),
    (#"{"name":"a","list":["a","a","a"]}"#, "list"), (#"{"name":"a","list":{}}"#, "list"),
    (#"{"name":"a","map":{"x":1}}"#, "map.x"), (#"{"name":"a","map":{"x":true,"y":true}}"#, "map"),
    (#"{"name":"a","map":[]}"#, "map"), (#"{"name":"a","when":"yesterday"}"#, "when"),
    (#"{"name":"a","when":"2026-02-30T00:00:00Z"}"#, "when"), (#"{"name":"a","link":"a.example"}"#, "link"),
    (#"{"name":"a","link":"https://"}"#, "link"), (#"{"name":"a","link":"file:///etc/passwd"}"#, "link"),
  ])
  func refuses(text: String, field: String) throws {
    #expect(try check(text)?.field == field)
  }
}
