import JSONText
import PluginManifest

/// The parameters of one `host/http` request as values; nothing is judged by a rule yet.
struct HTTPCallParameters: Sendable {
  enum Body: Sendable {
    case none
    case json(RawJSON)
    case form([Field])
    case text(String)
    case multipart([Part])
    case media(MediaReference)

    var kind: EgressRule.BodyKind {
      switch self {
      case .none: .none
      case .json: .json
      case .form: .form
      case .text: .text
      case .multipart: .multipart
      case .media: .media
      }
    }
  }

  struct Field: Sendable, Equatable {
    let name: String
    let value: String
  }

  struct Part: Sendable {
    enum Content: Sendable {
      case text(String)
      case media(MediaReference)
    }

    let name: String
    let content: Content
    let filename: String?
    let type: String?
  }

  /// A media file, or a range of its bytes.
  struct MediaReference: Sendable, Equatable {
    let handle: String
    let range: Range<Int64>?
  }

  let rule: String
  let step: String?
  let effectClass: EffectClass?
  let path: [Field]
  let query: [Field]
  let headers: [Field]
  let body: Body
  let timeout: Duration?
  /// Handles of captures by the names that the rule needs.
  let captures: [Field]

  /// Media handles of the body, each once.
  var handles: [String] {
    switch body {
    case .media(let reference): return [reference.handle]
    case .multipart(let parts):
      var handles: [String] = []
      for part in parts {
        if case .media(let reference) = part.content, !handles.contains(reference.handle) {
          handles.append(reference.handle)
        }
      }
      return handles
    default: return []
    }
  }

  // Throughout, a value of the wrong kind is reported as the error of its field, which says what is allowed; the
  // conversion's own error says less and is dropped by `try?`.

  /// Reads the parameters strictly: unknown members, wrong types and values out of bounds are refused by name.
  ///
  /// - Parameter isStream: Whether the request is `host/http.open`, which says how the answer is parsed.
  init(_ params: RawJSON, isStream: Bool = false) throws(EgressError) {
    guard let object = try? params.object() else {
      throw EgressError(.invalidParams, "the parameters are not an object")
    }
    var rule: String?
    var step: String?
    var effectClass: EffectClass?
    var path: [Field] = []
    var query: [Field] = []
    var headers: [Field] = []
    var bodies: [Body] = []
    var timeout: Duration?
    var captures: [Field] = []
    var isParsed = false
    for (key, value) in object.all {
      if value.isNull && key != "json" { continue }
      switch key {
      case "call", "_meta": break
      case "rule": rule = try Self.text(value, key, 1...40)
      case "step": step = try Self.step(value)
      case "class":
        let name = try Self.text(value, key, 1...10)
        guard let known = EffectClass(rawValue: name) else { throw Self.wrong(key, "read, prepare, commit or billed") }
        effectClass = known
      case "path": path = try Self.fields(value, key, lists: false, atMost: 16)
      case "query": query = try Self.fields(value, key, lists: true, atMost: 64)
      case "headers": headers = try Self.fields(value, key, lists: false, atMost: 32)
      case "json": bodies.append(.json(value))
      case "form": bodies.append(.form(try Self.fields(value, key, lists: true, atMost: 256)))
      case "text": bodies.append(.text(try Self.text(value, key, 0...1_048_576)))
      case "multipart": bodies.append(.multipart(try Self.parts(value)))
      case "media": bodies.append(.media(try Self.reference(value, key)))
      case "timeoutMs": timeout = .milliseconds(try Self.number(value, key, 1...600_000))
      case "captures": captures = try Self.fields(value, key, lists: false, atMost: 8)
      case "parse" where isStream:
        guard try Self.text(value, key, 1...10) == "sse" else { throw Self.wrong(key, "sse") }
        isParsed = true
      default: throw EgressError(.invalidParams, "unknown member", field: Self.shown(key))
      }
    }
    guard isParsed == isStream else { throw EgressError(.invalidParams, "missing", field: "parse") }
    guard let rule else { throw EgressError(.invalidParams, "missing", field: "rule") }
    guard bodies.count <= 1 else { throw EgressError(.invalidParams, "more than one body", field: "json") }
    self.rule = rule
    self.step = step
    self.effectClass = effectClass
    self.path = path
    self.query = query
    self.headers = headers
    body = bodies.first ?? .none
    self.timeout = timeout
    self.captures = captures
  }

  // MARK: Values

  private static func wrong(_ field: String, _ allowed: String) -> EgressError {
    EgressError(.invalidParams, "allowed: \(allowed)", field: field)
  }

  /// A foreign name made short and plain, so that it can stand in a message.
  static func shown(_ name: String) -> String {
    String(name.unicodeScalars.prefix(40).map { $0.value > 0x1F && $0.value < 0x7F ? Character($0) : "?" })
  }

  private static func text(_ value: RawJSON, _ field: String, _ lengths: ClosedRange<Int>) throws(EgressError) -> String
  {
    guard let text = try? value.string(), lengths.contains(text.utf8.count) else {
      throw wrong(field, "a string of \(lengths.lowerBound) to \(lengths.upperBound) bytes")
    }
    return text
  }

  private static func number(
    _ value: RawJSON,
    _ field: String,
    _ range: ClosedRange<Int64>
  ) throws(EgressError) -> Int64 {
    guard let number = try? value.int64(), range.contains(number) else {
      throw wrong(field, "a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  private static func step(_ value: RawJSON) throws(EgressError) -> String {
    let step = try text(value, "step", 1...100)
    guard step.utf8.allSatisfy({ ASCII.isUnreserved($0) || ":/#@+".utf8.contains($0) }) else {
      throw wrong("step", "letters, digits and -._~:/#@+")
    }
    return step
  }

  /// A scalar as the text that stands for it in a URL or header.
  private static func scalar(_ value: RawJSON, _ field: String) throws(EgressError) -> String {
    switch value.kind {
    case .string:
      guard let text = try? value.string(), text.utf8.count <= 65_536 else { throw wrong(field, "at most 65536 bytes") }
      return text
    case .bool: return value.text
    case .number:
      guard let number = try? value.int64() else { throw wrong(field, "a string, a whole number, true or false") }
      return String(number)
    default: throw wrong(field, "a string, a whole number, true or false")
    }
  }

  private static func fields(
    _ value: RawJSON,
    _ field: String,
    lists: Bool,
    atMost limit: Int
  ) throws(EgressError) -> [Field] {
    guard let object = try? value.object(), object.count <= limit else {
      throw wrong(field, "an object of at most \(limit) members")
    }
    var fields: [Field] = []
    for (name, value) in object.all {
      let place = "\(field).\(shown(name))"
      if lists, value.kind == .array, let elements = try? value.array() {
        for element in elements {
          guard fields.count < 1_024 else { throw wrong(place, "at most 1024 values") }
          fields.append(Field(name: name, value: try scalar(element, place)))
        }
      } else {
        fields.append(Field(name: name, value: try scalar(value, place)))
      }
    }
    return fields
  }

  private static func reference(_ value: RawJSON, _ field: String) throws(EgressError) -> MediaReference {
    guard let object = try? value.object() else { throw wrong(field, "an object with handle and range") }
    var handle: String?
    var range: Range<Int64>?
    for (key, value) in object.all {
      switch key {
      case "handle": handle = try text(value, "\(field).handle", 1...64)
      case "range": range = try Self.range(value, "\(field).range")
      default: throw EgressError(.invalidParams, "unknown member", field: "\(field).\(shown(key))")
      }
    }
    guard let handle else { throw EgressError(.invalidParams, "missing", field: "\(field).handle") }
    return MediaReference(handle: handle, range: range)
  }

  /// `[first, last]`: positions of the first and the last byte, both included.
  private static func range(_ value: RawJSON, _ field: String) throws(EgressError) -> Range<Int64>? {
    if value.isNull { return nil }
    let bounds = (try? value.array()).map { Array($0.prefix(3)) } ?? []
    guard bounds.count == 2, let first = try? bounds[0].int64(), let last = try? bounds[1].int64(), first >= 0,
      first <= last, last < .max
    else { throw wrong(field, "[first, last] with 0 <= first <= last") }
    return first..<last + 1
  }

  private static func parts(_ value: RawJSON) throws(EgressError) -> [Part] {
    guard let elements = try? value.array() else { throw wrong("multipart", "a list of parts") }
    var parts: [Part] = []
    for element in elements {
      guard parts.count < 64 else { throw wrong("multipart", "at most 64 parts") }
      parts.append(try part(element, "multipart[\(parts.count)]"))
    }
    guard !parts.isEmpty else { throw wrong("multipart", "at least one part") }
    return parts
  }

  private static func part(_ value: RawJSON, _ field: String) throws(EgressError) -> Part {
    guard let object = try? value.object() else { throw wrong(field, "an object") }
    var name: String?
    var text: String?
    var handle: String?
    var range: Range<Int64>?
    var filename: String?
    var type: String?
    for (key, value) in object.all where !value.isNull {
      let place = "\(field).\(shown(key))"
      switch key {
      case "name": name = try plain(value, place, 1...100)
      case "text": text = try scalar(value, place)
      case "media": handle = try Self.text(value, place, 1...64)
      case "range": range = try Self.range(value, place)
      case "filename": filename = try plain(value, place, 1...255)
      case "type": type = try mediaType(value, place)
      default: throw EgressError(.invalidParams, "unknown member", field: place)
      }
    }
    guard let name else { throw EgressError(.invalidParams, "missing", field: "\(field).name") }
    let content: Part.Content
    switch (text, handle) {
    case (let text?, nil):
      guard range == nil else { throw wrong("\(field).range", "only with media") }
      content = .text(text)
    case (nil, let handle?): content = .media(MediaReference(handle: handle, range: range))
    default: throw wrong(field, "either text or media")
    }
    return Part(name: name, content: content, filename: filename, type: type)
  }

  /// A text for a header: no control characters and no quotation marks.
  private static func plain(
    _ value: RawJSON,
    _ field: String,
    _ lengths: ClosedRange<Int>
  ) throws(EgressError) -> String {
    let text = try text(value, field, lengths)
    guard text.utf8.allSatisfy({ $0 > 0x1F && $0 != 0x7F && $0 != 0x22 && $0 != 0x5C }) else {
      throw wrong(field, "no control characters, quotation marks or backslashes")
    }
    return text
  }

  private static func mediaType(_ value: RawJSON, _ field: String) throws(EgressError) -> String {
    let text = try text(value, field, 3...120)
    guard isMediaType(text) else { throw wrong(field, "a media type such as image/png") }
    return text
  }

  /// `type/subtype` with optional parameters of printable ASCII.
  static func isMediaType(_ text: String) -> Bool {
    let halves = text.split(separator: ";", maxSplits: 1)[0].split(separator: "/", omittingEmptySubsequences: false)
    return halves.count == 2 && halves.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy(ASCII.isToken) }
      && text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F }
  }
}
