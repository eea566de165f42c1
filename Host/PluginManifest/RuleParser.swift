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
    let query = reader.strings("query", atMost: 64, allowed: "query keys of printable characters", where: Self.isKey)
    let headers = reader.strings(
      "headers",
      atMost: 32,
      allowed: "lower-case header names that do not belong to the host",
      where: { Self.isHeaderName($0) && !EgressRule.isReserved(header: $0) }
    )
    let calls = calls(&reader, effectClass: effectClass)
    let body = reader.choice("body", default: EgressRule.BodyKind.none)
    let slots = slots(&reader, body: body, query: query, headers: headers)
    let signer = signer(&reader, body: body)
    let idempotency = idempotency(&reader, body: body, signer: signer, taken: slots.map(\.place))
    let outcomes = OutcomeParser(collector: collector).clauses(&reader)
    let remoteID = remoteID(&reader)
    let exposed = reader.strings(
      "exposeHeaders",
      atMost: 32,
      allowed: "lower-case header names other than set-cookie",
      where: { Self.isHeaderName($0) && !$0.hasPrefix("set-cookie") }
    )
    let maximumBody = reader.integer("maxBody", 1...917_504)
    let timeout = reader.integer("timeoutMs", 100...600_000)
    let reason = reader.optionalString("reason", 1...300)
    let isLookup = reader.flag("lookup")
    reader.finish()
    guard let name, let effectClass, let method, let origin, let maximumBody, let timeout else { return nil }
    if origin != .accountEndpoint && path == nil { return nil }
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
      slots: slots,
      signer: signer,
      body: body,
      outcomes: outcomes,
      remoteID: remoteID,
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
    if isFetch && (rule.effectClass == .commit || rule.effectClass == .prepare) {
      reader.report("class", "\(rule.method) cannot change anything", came: rule.effectClass.rawValue)
    }
  }

  // MARK: Parts

  private func origin(_ reader: inout ObjectReader) -> EgressRule.Origin? {
    let allowed = "https://host, https://host:port, account.origin or account.endpoint"
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

  private func path(_ reader: inout ObjectReader, origin: EgressRule.Origin?) -> PathTemplate? {
    if origin == .accountEndpoint {
      if let value = reader.value("path") {
        reader.report("path", "account.endpoint is a whole address", came: value.shown, allowed: "no path")
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
    if effectClass == .commit {
      let changing: Set<String> = ["post/publish", "post/delete"]
      for pattern in patterns where !changing.contains(pattern) {
        reader.report("calls", "bad caller of a commit", came: "\"\(pattern)\"", allowed: "post/publish | post/delete")
      }
    }
    return patterns
  }

  private func slots(
    _ reader: inout ObjectReader,
    body: EgressRule.BodyKind,
    query: [String],
    headers: [String]
  ) -> [Slot] {
    guard var object = reader.object("slots") else { return [] }
    var slots: [Slot] = []
    for key in object.names {
      guard var entry = object.object(key) else { continue }
      let place = slotPlace(key, entry, body: body)
      let secret = entry.string("secret", 1...40, allowed: secretNames, where: { secrets[$0] != nil })
      let format = entry.optionalString("format", 2...200, allowed: "text with {} once") {
        $0.split(separator: "{}", omittingEmptySubsequences: false).count == 2
      }
      let encoding = entry.choice("encoding", default: Slot.Encoding.plain)
      entry.finish()
      guard let place, let secret else { continue }
      if case .query(let key) = place, query.contains(key) {
        object.report("query.\(key)", "the plugin may not fill a slot's key", allowed: "a key outside of \"query\"")
      }
      if case .header(let name) = place, headers.contains(name) {
        object.report(
          "header.\(name)",
          "the plugin may not fill a slot's header",
          allowed: "a name outside of \"headers\""
        )
      }
      let around = (format ?? "{}").split(separator: "{}", omittingEmptySubsequences: false).map(String.init)
      slots.append(
        Slot(place: place, secret: secret, encoding: encoding, prefix: around[0], suffix: around.last ?? "")
      )
    }
    return slots
  }

  /// Reads `header.name`, `query.key`, `form.key` or `json./pointer`.
  private func slotPlace(_ text: String, _ reader: ObjectReader, body: EgressRule.BodyKind) -> SlotPlace? {
    let name = String(text.drop { $0 != "." }.dropFirst())
    if text.hasPrefix("header."), Self.isHeaderName(name), !Self.hostHeaders.contains(name) { return .header(name) }
    if text.hasPrefix("query."), Self.isKey(name) { return .query(name) }
    if text.hasPrefix("form."), Self.isKey(name), body == .form { return .form(name) }
    if text.hasPrefix("json."), Self.isObjectPointer(name), body == .json { return .json(name) }
    collector.add(
      reader.path,
      "bad place",
      came: "\"\(text)\"",
      allowed: "header.<lower-case name>, query.<key>, form.<key> with body form, json./<pointer> with body json"
    )
    return nil
  }

  private func signer(_ reader: inout ObjectReader, body: EgressRule.BodyKind) -> EgressRule.Signer? {
    guard var object = reader.object("signer") else { return nil }
    let kind = object.string("kind", 1...40, allowed: "standardWebhooks") { $0 == "standardWebhooks" }
    let secret = object.string(
      "secret",
      1...40,
      allowed: "a declared secret of format whsec",
      where: { secrets[$0]?.format == .whsec }
    )
    object.finish()
    if ![.json, .form, .text].contains(body) {
      reader.report("signer", "needs a body to sign", came: body.rawValue, allowed: "body json | form | text")
    }
    guard kind != nil, let secret else { return nil }
    return .standardWebhooks(secret: secret)
  }

  private func idempotency(
    _ reader: inout ObjectReader,
    body: EgressRule.BodyKind,
    signer: EgressRule.Signer?,
    taken: [SlotPlace]
  ) -> EgressRule.Idempotency? {
    guard var object = reader.object("idempotent") else { return nil }
    let window = object.integer("windowMs", 60_000...2_592_000_000)
    let text = object.optionalString("slot", 1...200)
    object.finish()
    let slot = text.flatMap { slotPlace($0, object, body: body) }
    if text == nil && signer == nil {
      object.report("slot", "missing", allowed: "where the host puts the key, or a signer that carries it")
    }
    if let slot, taken.contains(slot) { object.report("slot", "already filled by a secret", came: "\"\(slot)\"") }
    return window.map { EgressRule.Idempotency(window: .milliseconds($0), slot: slot) }
  }

  private func remoteID(_ reader: inout ObjectReader) -> EgressRule.RemoteID? {
    let allowed = "a JSON pointer such as /data/id, or header.<lower-case name>"
    let text = reader.optionalString("remoteId", 1...200, allowed: allowed) {
      isJSONPointer($0) || ($0.hasPrefix("header.") && Self.isHeaderName(String($0.dropFirst(7))))
    }
    guard let text else { return nil }
    return text.hasPrefix("/") ? .pointer(text) : .header(String(text.dropFirst(7)))
  }

  // MARK: Words

  private var secretNames: String {
    secrets.isEmpty ? "no secret is declared" : secrets.keys.sorted().joined(separator: " | ")
  }

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
