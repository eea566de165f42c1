import JSONDocument

/// Reads the egress rules of one manifest and checks each against the rest of it.
struct RuleParser {
  let collector: ProblemCollector
  let methods: [String]
  let secrets: [String: SecretDeclaration]
  let accountFields: [AccountField]

  func rules(_ reader: inout ObjectReader) -> [EgressRule] {
    var rules: [EgressRule] = []
    for (place, value) in reader.elements("egress", atMost: 128, required: true) {
      guard var object = ObjectReader(value, path: place, collector: collector), let rule = rule(&object) else {
        continue
      }
      if rules.contains(where: { $0.name == rule.name }) {
        object.report("rule", "repeated", came: "\"\(rule.name)\"")
      } else {
        rules.append(rule)
      }
    }
    CaptureParser(collector: collector).check(rules)
    return rules
  }

  private func rule(_ reader: inout ObjectReader) -> EgressRule? {
    let name = reader.string("rule", 1...40, allowed: ManifestParser.nameRule, where: isFieldName)
    let effectClass = reader.choice("class", EffectClass.self)
    let isRepeatable = reader.flag("repeatable")
    let validFor = reader.optionalInteger("validForMs", 1_000...31_536_000_000)
    let verbs = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
    let method = reader.string("method", 3...6, allowed: verbs.joined(separator: " | "), where: verbs.contains)
    let origin = origin(&reader)
    let path = path(&reader, origin: origin)
    let query = reader.strings(
      "query",
      atMost: 64,
      allowed: "query keys of printable characters that carry no credential",
      where: { Self.isKey($0) && !EgressRule.isReserved(query: $0) }
    )
    let headers = reader.strings(
      "headers",
      atMost: 32,
      allowed: "lower-case header names that do not belong to the host",
      where: { Self.isHeaderName($0) && !EgressRule.isReserved(header: $0) }
    )
    let calls = calls(&reader, effectClass: effectClass)
    let body = reader.choice("body", default: EgressRule.BodyKind.none)
    let slotParser = SlotParser(collector: collector, secrets: secrets, body: body, path: path)
    let slots = slotParser.slots(&reader, query: query, headers: headers)
    let signer = slotParser.signer(&reader, slots: slots)
    let idempotency = slotParser.idempotency(&reader, signer: signer, taken: slots.map(\.place))
    let authorization = authorization(&reader, origin: origin, isCredentialed: !slots.isEmpty || signer != nil)
    let outcomes = OutcomeParser(collector: collector).clauses(&reader)
    let remoteID = remoteID(&reader)
    let remoteURL = remoteURL(&reader)
    let captureParser = CaptureParser(collector: collector)
    let captures = captureParser.clauses(&reader)
    let returns = captureParser.returns(&reader)
    let redirects = redirects(&reader)
    let stream = stream(&reader)
    let exposed = reader.strings(
      "exposeHeaders",
      atMost: 32,
      allowed: "lower-case header names other than set-cookie",
      where: { Self.isHeaderName($0) && !$0.hasPrefix("set-cookie") }
    )
    let maximumBody = reader.integer("maxBody", 1...(stream == nil ? 917_504 : 33_554_432))
    let timeout = reader.integer("timeoutMs", 100...600_000)
    let reason = reader.optionalString("reason", 1...300)
    let isLookup = reader.flag("lookup")
    reader.finish()
    guard let name, let effectClass, let method, let origin, let maximumBody, let timeout else { return nil }
    if !origin.isWholeAddress && path == nil { return nil }
    let rule = EgressRule(
      name: name,
      effectClass: effectClass,
      isRepeatable: isRepeatable,
      validFor: validFor.map { .milliseconds($0) },
      idempotency: idempotency,
      method: method,
      origin: origin,
      path: path,
      query: Set(query),
      headers: Set(headers),
      calls: calls,
      authorization: authorization,
      slots: slots,
      signer: signer,
      body: body,
      outcomes: outcomes,
      remoteID: remoteID,
      remoteURL: remoteURL,
      captures: captures,
      returns: returns,
      redirects: redirects,
      stream: stream,
      exposedHeaders: exposed,
      maximumBody: maximumBody,
      timeout: .milliseconds(timeout),
      reason: reason,
      isLookup: isLookup
    )
    checkSense(of: rule, reader)
    return rule
  }

  /// Reports combinations that parse but contradict each other.
  private func checkSense(of rule: EgressRule, _ reader: ObjectReader) {
    let isFetch = rule.method == "GET" || rule.method == "HEAD"
    if rule.isRepeatable && rule.effectClass != .prepare {
      reader.report("repeatable", "only for class prepare", came: rule.effectClass.rawValue)
    }
    if rule.validFor != nil && rule.effectClass != .prepare {
      reader.report("validForMs", "only for class prepare", came: rule.effectClass.rawValue)
    }
    if rule.idempotency != nil && rule.effectClass != .commit {
      reader.report("idempotent", "only for class commit", came: rule.effectClass.rawValue)
    }
    if rule.isLookup && rule.effectClass != .read {
      reader.report("lookup", "only for class read", came: rule.effectClass.rawValue)
    }
    if rule.effectClass == .read && !isFetch && rule.reason == nil {
      reader.report("reason", "missing", allowed: "why \(rule.method) has no side effect here")
    }
    if isFetch && rule.body != .none {
      reader.report("body", "\(rule.method) has no body", came: rule.body.rawValue, allowed: "none")
    }
    if case .follow = rule.redirects {
      if rule.effectClass != .read {
        reader.report("redirect", "only for class read", came: rule.effectClass.rawValue)
      }
      if rule.signer != nil || rule.slots.contains(where: { if case .path = $0.place { true } else { false } }) {
        reader.report("redirect", "a signed request, or one with a secret in its path, stays where it is")
      }
    }
    if rule.stream != nil {
      if rule.effectClass != .read && rule.effectClass != .billed {
        reader.report("stream", "only for class read or billed", came: rule.effectClass.rawValue)
      }
      if !rule.captures.isEmpty || rule.returns != nil || rule.redirects != .manual {
        reader.report("stream", "excludes capture, tokenEndpoint and redirect")
      }
    }
    if rule.remoteURL != nil && (rule.effectClass != .commit || rule.remoteID == nil) {
      reader.report("remoteUrl", "only for class commit with remoteId", came: rule.effectClass.rawValue)
    }
    if isFetch && (rule.effectClass == .commit || rule.effectClass == .prepare) {
      reader.report("class", "\(rule.method) cannot change anything", came: rule.effectClass.rawValue)
    }
  }

  // MARK: Parts

  private func origin(_ reader: inout ObjectReader) -> EgressRule.Origin? {
    let allowed = "https://host, https://host:port, account.origin, account.endpoint or {\"capture\", \"suffix\"}"
    if case .object? = reader.value("origin") { return captureOrigin(&reader) }
    guard let text = reader.string("origin", 1...300, allowed: allowed) else { return nil }
    switch text {
    case "account.origin":
      if !accountFields.contains(where: { $0.name == "origin" && $0.type == .origin }) {
        reader.report("origin", "needs an account field \"origin\" of type origin", came: "\"account.origin\"")
      }
      return .accountOrigin
    case "account.endpoint":
      if !accountFields.contains(where: { $0.name == "endpoint" && $0.type == .url }) {
        reader.report("origin", "needs an account field \"endpoint\" of type url", came: "\"account.endpoint\"")
      }
      return .accountEndpoint
    default:
      guard Self.isOrigin(text) else {
        reader.report("origin", "bad value", came: "\"\(text)\"", allowed: allowed + "; a name, not an address")
        return nil
      }
      return .fixed(text)
    }
  }

  private func captureOrigin(_ reader: inout ObjectReader) -> EgressRule.Origin? {
    guard var object = reader.object("origin") else { return nil }
    let name = object.string("capture", 1...40, allowed: ManifestParser.nameRule, where: isFieldName)
    let suffixes = CaptureParser(collector: collector).suffixes(&object)
    object.finish()
    return name.map { .capture($0, suffixes: suffixes) }
  }

  private func authorization(
    _ reader: inout ObjectReader,
    origin: EgressRule.Origin?,
    isCredentialed: Bool
  ) -> EgressRule.Authorization {
    let authorization = reader.choice("auth", default: isCredentialed ? .required : EgressRule.Authorization.none)
    // A captured address is a credential itself.
    if case .capture? = origin { return authorization }
    if isCredentialed != (authorization != .none) {
      reader.report(
        "auth",
        isCredentialed ? "the rule has slots or a signer" : "the rule has neither slots nor a signer"
      )
    }
    return authorization
  }

  private func redirects(_ reader: inout ObjectReader) -> EgressRule.Redirects {
    guard var object = reader.object("redirect") else { return .manual }
    let isFollowing = object.flag("follow")
    let origins = object.strings("to", atMost: 8, allowed: "https://host or https://host:port", where: Self.isOrigin)
    object.finish()
    if !isFollowing { object.report("follow", "missing", allowed: "true; without \"redirect\" nothing is followed") }
    return .follow(to: origins)
  }

  private func stream(_ reader: inout ObjectReader) -> EgressRule.EventStream? {
    guard var object = reader.object("stream") else { return nil }
    _ = object.string("parse", 1...10, allowed: "\"sse\"") { $0 == "sse" }
    let usage = object.optionalString("usage", 1...200, allowed: "a JSON pointer", where: isJSONPointer)
    object.finish()
    return EgressRule.EventStream(usage: usage)
  }

  private func path(_ reader: inout ObjectReader, origin: EgressRule.Origin?) -> PathTemplate? {
    if origin?.isWholeAddress == true {
      if let value = reader.value("path") {
        reader.report("path", "the origin is a whole address", came: value.shown, allowed: "no path")
      }
      return nil
    }
    guard let text = reader.string("path", 1...512) else { return nil }
    do {
      return try PathTemplate(text)
    } catch {
      reader.report("path", error.description, came: "\"\(text)\"")
      return nil
    }
  }

  private func calls(_ reader: inout ObjectReader, effectClass: EffectClass?) -> [String] {
    let callers = methods.filter { !PluginMethods.pure.contains($0) }
    let patterns = reader.strings(
      "calls",
      atMost: 16,
      required: true,
      allowed: "declared methods that may call out (\(callers.sorted().joined(separator: ", "))) or family/*",
      where: { pattern in callers.contains { EgressRule.matches(pattern: pattern, method: $0) } }
    )
    if reader.value("calls")?.arrayValue?.isEmpty == true {
      reader.report("calls", "empty, so nothing could use the rule", allowed: "1 to 16 methods or families")
    }
    if effectClass == .commit {
      let changing: Set<String> = ["post/publish", "post/delete"]
      for pattern in patterns where !changing.contains(pattern) {
        reader.report("calls", "bad caller of a commit", came: "\"\(pattern)\"", allowed: "post/publish | post/delete")
      }
    }
    return patterns
  }

  private func remoteID(_ reader: inout ObjectReader) -> EgressRule.RemoteID? {
    let allowed = "a JSON pointer such as /data/id, or header.<lower-case name>"
    let text = reader.optionalString("remoteId", 1...200, allowed: allowed) {
      isJSONPointer($0) || ($0.hasPrefix("header.") && Self.isHeaderName(String($0.dropFirst(7))))
    }
    guard let text else { return nil }
    return text.hasPrefix("/") ? .pointer(text) : .header(String(text.dropFirst(7)))
  }

  private func remoteURL(_ reader: inout ObjectReader) -> String? {
    let allowed = "an https address with {id} once behind the host name, such as https://example.com/posts/{id}"
    return reader.optionalString("remoteUrl", 10...500, allowed: allowed) { text in
      let parts = text.split(separator: "{id}", omittingEmptySubsequences: false)
      guard parts.count == 2, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }),
        let slash = parts[0].dropFirst(8).firstIndex(of: "/")
      else { return false }
      return Self.isOrigin(String(parts[0][..<slash])) && !(parts[0] + parts[1]).contains { "{}\"<>\\^`".contains($0) }
    }
  }

  // MARK: Words

  /// Headers that only the host's HTTP client writes.
  static let hostHeaders: Set<String> = [
    "connection", "content-length", "cookie", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding",
    "upgrade",
  ]

  static func isHeaderName(_ text: String) -> Bool {
    (1...80).contains(text.utf8.count)
      && text.utf8.allSatisfy {
        (isAlphanumeric($0) && !(UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0))
          || "-_".utf8.contains($0)
      }
  }

  static func isKey(_ text: String) -> Bool {
    (1...80).contains(text.utf8.count) && text.utf8.allSatisfy { isAlphanumeric($0) || "-._[]:~".utf8.contains($0) }
  }

  /// A pointer through objects only: a number as a name would mean a list.
  static func isObjectPointer(_ text: String) -> Bool {
    isJSONPointer(text) && !text.split(separator: "/").contains { plainNumber($0) != nil }
  }

  /// `https://` and a host name with an optional port; no user, path, address literal or final dot.
  static func isOrigin(_ text: String) -> Bool {
    guard text.hasPrefix("https://") else { return false }
    let rest = text.dropFirst(8)
    let parts = rest.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count <= 2, let host = parts.first, host.utf8.count <= 253 else { return false }
    if parts.count == 2 {
      guard let port = plainNumber(parts[1]), (1...65_535).contains(port), port != 443 else { return false }
    }
    let labels = host.split(separator: ".", omittingEmptySubsequences: false)
    guard labels.count >= 2, let last = labels.last, last.utf8.contains(where: { !(48...57).contains($0) }) else {
      return false
    }
    return labels.allSatisfy { label in
      (1...63).contains(label.utf8.count) && !label.hasPrefix("-") && !label.hasSuffix("-")
        && label.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 }
    }
  }
}
