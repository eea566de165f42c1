import FoundationEssentials
import JSONDocument
import Testing

@testable import PluginManifest

/// The JSON Schema of manifests knows exactly the members that the parser asks for, object by object.
@Suite struct ManifestSchemaTests {
  private static func schema() throws -> JSONValue {
    let file = PluginManifestTests.bundled.deletingLastPathComponent().appending(path: "SDK/Schemas/manifest-1.json")
    return try JSONValue.parse(Array(try Data(contentsOf: file)), maximumDepth: 32, maximumBytes: 1 << 20)
  }

  /// Objects of the schema by their place in it, with their members.
  private static func objects(_ schema: JSONValue, at place: String = "") -> [String: Set<String>] {
    var found: [String: Set<String>] = [:]
    if let properties = schema.pointer("/properties")?.objectValue {
      found[place] = Set(properties.keys)
      for (name, member) in properties { found.merge(objects(member, at: "\(place).\(name)")) { $1 } }
    }
    for (index, choice) in (schema.pointer("/anyOf")?.arrayValue ?? []).enumerated() {
      found.merge(objects(choice, at: "\(place)|\(index)")) { $1 }
    }
    if let items = schema.pointer("/items") { found.merge(objects(items, at: place + "[]")) { $1 } }
    if let values = schema.pointer("/additionalProperties"), values.objectValue != nil {
      found.merge(objects(values, at: place + ".*")) { $1 }
    }
    return found
  }

  /// Where in the schema the object of a manifest at that place is described; names of maps may hold dots.
  private static func places(_ path: Substring, _ schema: JSONValue, at place: String = "") -> [String] {
    if path.isEmpty, schema.pointer("/properties") != nil { return [place] }
    var found: [String] = []
    for (index, choice) in (schema.pointer("/anyOf")?.arrayValue ?? []).enumerated() {
      found += places(path, choice, at: "\(place)|\(index)")
    }
    if path.hasPrefix("["), let items = schema.pointer("/items"), let end = path.firstIndex(of: "]") {
      found += places(path[path.index(after: end)...], items, at: place + "[]")
    }
    let rest = path.hasPrefix(".") ? path.dropFirst() : path
    for (name, member) in schema.pointer("/properties")?.objectValue ?? [:] where rest.hasPrefix(name) {
      let tail = rest.dropFirst(name.count)
      if tail.isEmpty || tail.hasPrefix(".") || tail.hasPrefix("[") {
        found += places(tail, member, at: "\(place).\(name)")
      }
    }
    if let values = schema.pointer("/additionalProperties"), values.objectValue != nil, !rest.isEmpty {
      for end in rest.indices.dropFirst() + [rest.endIndex] where end == rest.endIndex || rest[end] == "." {
        found += places(rest[end...], values, at: place + ".*")
      }
    }
    return found
  }

  @Test func itKnowsTheMembersOfTheParserAndNoOthers() throws {
    let schema = try Self.schema()
    let collector = ProblemCollector()
    let document = RuleFormatTests.document(RuleFormatTests.rules)
    _ = ManifestParser(collector: collector).manifest(try JSONValue.parse(Array(document.utf8), maximumDepth: 16))
    #expect(collector.problems == [])
    var asked: [String: Set<String>] = [:]
    for (place, names) in collector.members {
      // A name of a map may swallow what follows; the reading that goes deepest is meant.
      let found = Self.places(place[...], schema).max { $0.count < $1.count }
      let node = try #require(found, "\(place) is not in the schema")
      asked[node, default: []].formUnion(names)
    }
    let described = Self.objects(schema)
    #expect(Set(described.keys) == Set(asked.keys))
    for (place, members) in described { #expect(members == asked[place], "at \(place)") }
  }
}
