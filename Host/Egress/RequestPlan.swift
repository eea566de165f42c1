import Cryptography
import JSONText
import PluginManifest

/// One request as its rule allows it: where it goes, what the plugin put in, and its digest.
///
/// Holds nothing that the host adds (secrets, signatures, boundaries), so the digest of a repeated step is the same.
struct RequestPlan: Sendable {
  let rule: EgressRule
  let effectClass: EffectClass
  let step: String
  /// Address before the operator's overrides; holes of path slots are still open, see `slotMark`.
  let target: TargetURL
  /// What this request uses of earlier answers, by the names that the rule gives them.
  let captures: [String: CapturedValue]
  let query: [HTTPCallParameters.Field]
  /// Names in lower case.
  let headers: [HTTPCallParameters.Field]
  let body: HTTPCallParameters.Body
  let media: [String: MediaFile]
  let timeout: Duration
  /// `d1:` and the SHA-256, in hex, over the canonical JSON of what the plugin decided.
  let digest: String

  /// Judges the parameters by the rule; media are the files of all handles.
  init(
    _ parameters: HTTPCallParameters,
    rule: EgressRule,
    scope: EgressScope,
    media: [String: MediaFile],
    captures: [String: CapturedValue] = [:]
  ) throws(EgressError) {
    self.rule = rule
    self.captures = captures
    effectClass = try Self.effectClass(parameters, rule)
    step = try Self.step(parameters, rule, effectClass)
    target = try Self.target(parameters, rule, scope, captures)
    for field in parameters.query {
      guard rule.query.contains(field.name), !EgressRule.isReserved(query: field.name) else {
        throw Self.denied("the rule does not list this query key", "query", field.name)
      }
      guard !EgressRule.isMethodOverride(name: field.name, value: field.value) else {
        throw Self.denied("a request keeps the method of its rule", "query", field.name)
      }
      guard target.query.map({ !PercentEncoding.hasKey(field.name, in: $0) }) ?? true else {
        throw Self.denied("the address has this key already", "query", field.name)
      }
    }
    query = parameters.query
    headers = try Self.headers(parameters, rule)
    try Self.checkBody(parameters, rule)
    for reference in Self.references(parameters.body) { try Self.check(reference, media) }
    body = parameters.body
    self.media = media
    timeout = min(parameters.timeout ?? rule.timeout, rule.timeout)
    digest = Self.digest(parameters, headers: headers, media: media)
  }

  // MARK: Judging

  private static func denied(_ message: String, _ group: String, _ name: String) -> EgressError {
    EgressError(.egressDenied, message, field: "\(group).\(HTTPCallParameters.shown(name))")
  }

  private static func effectClass(
    _ parameters: HTTPCallParameters,
    _ rule: EgressRule
  ) throws(EgressError) -> EffectClass {
    guard let wanted = parameters.effectClass, wanted != rule.effectClass else { return rule.effectClass }
    switch (rule.effectClass, wanted) {
    case (.read, .prepare), (.read, .commit), (.prepare, .commit): return wanted
    default:
      throw EgressError(
        .egressDenied,
        "a request may be stricter than its rule, never weaker; the rule's class is \(rule.effectClass.rawValue)",
        field: "class"
      )
    }
  }

  private static func step(
    _ parameters: HTTPCallParameters,
    _ rule: EgressRule,
    _ effectClass: EffectClass
  ) throws(EgressError) -> String {
    if let step = parameters.step { return step }
    guard effectClass == .read else {
      throw EgressError(.invalidParams, "missing; class \(effectClass.rawValue) needs a step", field: "step")
    }
    return rule.name
  }

  private static func target(
    _ parameters: HTTPCallParameters,
    _ rule: EgressRule,
    _ scope: EgressScope,
    _ captures: [String: CapturedValue]
  ) throws(EgressError) -> TargetURL {
    let base: TargetURL
    switch rule.origin {
    case .capture(let name, let suffixes): base = try captured(captures[name], suffixes)
    case .fixed(let origin): base = try parse(origin, "the rule's origin")
    case .accountOrigin: base = try parse(scope.accountOrigin, "the account's origin")
    case .accountEndpoint: base = try parse(scope.accountEndpoint, "the account's endpoint")
    }
    guard let template = rule.path else {
      if let field = parameters.path.first { throw denied("the rule has no path parameters", "path", field.name) }
      return base
    }
    guard base.isOrigin else {
      throw EgressError(.egressDenied, "the account's origin has a path")
    }
    var path = ""
    for part in template.parts {
      switch part {
      case .literal(let text): path += text
      case .parameter(let name) where rule.slots.contains { $0.place == .path(name) }:
        guard !parameters.path.contains(where: { $0.name == name }) else {
          throw denied("the host fills this parameter", "path", name)
        }
        path += slotMark(name)
      case .parameter(let name):
        guard let field = parameters.path.first(where: { $0.name == name }) else {
          throw EgressError(.invalidParams, "missing", field: "path.\(name)")
        }
        path += try pathValue(field)
      }
    }
    for field in parameters.path where !template.parameters.contains(field.name) {
      throw denied("the rule's path has no such parameter", "path", field.name)
    }
    guard !TargetURL.hasDots(path) else {
      throw EgressError(.invalidParams, "the path may not hold a segment of dots", field: "path")
    }
    guard path.utf8.count <= 4_096 else { throw EgressError(.invalidParams, "the path is too long", field: "path") }
    return base.replacing(path: path, query: nil)
  }

  /// Stands in a path where a secret belongs; no plugin can write these bytes.
  static func slotMark(_ name: String) -> String { "{\(name)}" }

  private static func captured(_ value: CapturedValue?, _ suffixes: [String]) throws(EgressError) -> TargetURL {
    // A stored address was checked when it was captured, and is checked again, because the rule may be another now.
    guard let value, value.kind == .url, let text = value.value.revealText(),
      let url = try? TargetURL(text, maximumBytes: TargetURL.longAddress), url.scheme == .https,
      CaptureClause.matches(host: url.host, suffixes: suffixes)
    else { throw EgressError(.egressDenied, "the captured address is not one that this rule may send to") }
    return url
  }

  private static func parse(_ text: String?, _ what: String) throws(EgressError) -> TargetURL {
    guard let text else { throw EgressError(.egressDenied, "\(what) is not set") }
    do {
      return try TargetURL(text)
    } catch {
      throw EgressError(.egressDenied, "\(what) \(error.description)")
    }
  }

  /// Refuses whatever a server could read as more than one name, then encodes the rest.
  private static func pathValue(_ field: HTTPCallParameters.Field) throws(EgressError) -> String {
    let value = field.value
    let isClean =
      (1...512).contains(value.utf8.count) && value != "." && value != ".."
      && value.utf8.allSatisfy { $0 > 0x1F && $0 != 0x7F && !"/\\%".utf8.contains($0) }
      && !value.unicodeScalars.contains(where: Self.isLookalike)
    guard isClean else {
      throw EgressError(
        .invalidParams,
        "allowed: 1 to 512 bytes that are one path segment, not encoded, without / \\ % and control characters",
        field: "path.\(field.name)"
      )
    }
    return PercentEncoding.encode(value)
  }

  /// Characters that a server which normalises Unicode turns into a dot, a slash or a backslash.
  private static func isLookalike(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x2024, 0x2025, 0x2026, 0x2044, 0x2215, 0x29F8, 0x29F9, 0x3002, 0xFE52, 0xFE68, 0xFF05, 0xFF0E, 0xFF0F, 0xFF3C,
      0xFF61:
      true
    default: false
    }
  }

  private static func headers(
    _ parameters: HTTPCallParameters,
    _ rule: EgressRule
  ) throws(EgressError) -> [HTTPCallParameters.Field] {
    var headers: [HTTPCallParameters.Field] = []
    var size = 0
    for field in parameters.headers {
      let name = field.name.lowercased()
      guard isAllowed(header: name, rule) else { throw denied("the plugin may not set this header", "headers", name) }
      guard field.value.utf8.allSatisfy({ ($0 > 0x1F && $0 < 0x7F) || $0 == 0x09 }) else {
        throw EgressError(.invalidParams, "allowed: printable ASCII", field: "headers.\(name)")
      }
      guard !headers.contains(where: { $0.name == name }) else {
        throw EgressError(.invalidParams, "set twice", field: "headers.\(name)")
      }
      if name == "content-type", !HTTPCallParameters.isMediaType(field.value) {
        throw EgressError(.invalidParams, "allowed: a media type", field: "headers.content-type")
      }
      size += name.utf8.count + field.value.utf8.count
      headers.append(HTTPCallParameters.Field(name: name, value: field.value))
    }
    guard size <= 8_192 else { throw EgressError(.invalidParams, "more than 8192 bytes", field: "headers") }
    return headers
  }

  /// Every plugin may say what it accepts; a content type is a plugin's to say only where the host does not know it.
  private static func isAllowed(header name: String, _ rule: EgressRule) -> Bool {
    if rule.slots.contains(where: { $0.place == .header(name) }) || rule.idempotency?.slot == .header(name)
      || rule.signer?.headers.contains(name) == true
    {
      return false
    }
    switch name {
    case "accept", "accept-language", "if-modified-since", "if-none-match": return true
    case "content-type": return rule.body == .text || rule.body == .media
    default: return rule.headers.contains(name) && !EgressRule.isReserved(header: name)
    }
  }

  private static func checkBody(_ parameters: HTTPCallParameters, _ rule: EgressRule) throws(EgressError) {
    guard parameters.body.kind == rule.body else {
      throw EgressError(
        .egressDenied,
        "the rule's body is \(rule.body.rawValue), not \(parameters.body.kind.rawValue)",
        field: "body"
      )
    }
    for (name, value) in bodyFields(parameters.body) {
      guard !EgressRule.isReserved(bodyField: name) else {
        throw denied("credentials are the host's to fill", "body", name)
      }
      guard !EgressRule.isMethodOverride(name: name, value: value) else {
        throw denied("a request keeps the method of its rule", "body", name)
      }
    }
    for place in rule.slots.map(\.place) + (rule.idempotency?.slot.map { [$0] } ?? []) {
      switch (place, parameters.body) {
      case (.form(let key), .form(let fields)) where fields.contains { $0.name == key }:
        throw denied("the host fills this field", "form", key)
      case (.json(let pointer), .json(let body)) where !JSONSlot.isFree(pointer, in: body):
        throw denied("the host fills this member", "json", pointer)
      case (.query(let key), _) where parameters.query.contains { $0.name == key }:
        throw denied("the host fills this key", "query", key)
      default: break
      }
    }
  }

  /// Fields of a form, texts of a multipart body and the top of a JSON object.
  private static func bodyFields(_ body: HTTPCallParameters.Body) -> [(String, String)] {
    switch body {
    case .form(let fields): fields.map { ($0.name, $0.value) }
    case .multipart(let parts):
      parts.map { part in
        if case .text(let text) = part.content { (part.name, text) } else { (part.name, "") }
      }
    case .json(let json):
      // A body that is no object has no fields; a value that is no text overrides nothing.
      ((try? json.object())?.all ?? []).map { ($0.0, (try? $0.1.string()) ?? "") }
    case .none, .text, .media: []
    }
  }

  private static func references(_ body: HTTPCallParameters.Body) -> [HTTPCallParameters.MediaReference] {
    switch body {
    case .media(let reference): [reference]
    case .multipart(let parts):
      parts.compactMap { part in
        if case .media(let reference) = part.content { reference } else { nil }
      }
    default: []
    }
  }

  private static func check(
    _ reference: HTTPCallParameters.MediaReference,
    _ media: [String: MediaFile]
  ) throws(EgressError) {
    guard let file = media[reference.handle] else {
      throw EgressError(.invalidParams, "this call has no such media", field: "media")
    }
    if let range = reference.range, range.upperBound > file.byteCount {
      throw EgressError(.invalidParams, "the range ends behind the file's \(file.byteCount) bytes", field: "range")
    }
  }
}
