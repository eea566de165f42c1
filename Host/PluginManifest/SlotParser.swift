import JSONDocument

/// Reads what the host puts into a request: slots, signer, idempotency key.
struct SlotParser {
  let collector: ProblemCollector
  let secrets: [String: SecretDeclaration]
  let body: EgressRule.BodyKind
  let path: PathTemplate?

  // MARK: Slots

  func slots(_ reader: inout ObjectReader, query: [String], headers: [String]) -> [Slot] {
    guard var object = reader.object("slots") else { return [] }
    var slots: [Slot] = []
    for key in object.names {
      guard var entry = object.object(key) else { continue }
      let place = place(key, entry)
      let value = value(&entry)
      let format = entry.optionalString("format", 2...200, allowed: "text with {} once") {
        $0.split(separator: "{}", omittingEmptySubsequences: false).count == 2
      }
      entry.finish()
      guard let place, let value else { continue }
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
      slots.append(Slot(place: place, value: value, prefix: around[0], suffix: around.last ?? ""))
    }
    return slots
  }

  /// Reads `header.name`, `query.key`, `form.key`, `json./pointer` or `path.parameter`.
  private func place(_ text: String, _ reader: ObjectReader) -> SlotPlace? {
    let name = String(text.drop { $0 != "." }.dropFirst())
    if text.hasPrefix("header."), RuleParser.isHeaderName(name), !RuleParser.hostHeaders.contains(name) {
      return .header(name)
    }
    if text.hasPrefix("query."), RuleParser.isKey(name) { return .query(name) }
    if text.hasPrefix("form."), RuleParser.isKey(name), body == .form { return .form(name) }
    if text.hasPrefix("json."), RuleParser.isObjectPointer(name), body == .json { return .json(name) }
    if text.hasPrefix("path."), path?.parameters.contains(name) == true { return .path(name) }
    collector.add(
      reader.path,
      "bad place",
      came: "\"\(text)\"",
      allowed: "header.<lower-case name>, query.<key>, form.<key> with body form, json./<pointer> with body json, "
        + "path.<parameter of the path>"
    )
    return nil
  }

  /// Exactly one of `secret`, `basic`, `hmacSha256`, `jwt` and `capture`.
  private func value(_ entry: inout ObjectReader) -> Slot.Value? {
    let kinds = ["secret", "basic", "hmacSha256", "jwt", "capture"]
    let given = kinds.filter { entry.value($0) != nil }
    guard given.count == 1 || given.isEmpty else {
      entry.report(given[1], "more than one kind of value", allowed: "one of \(kinds.joined(separator: ", "))")
      return nil
    }
    switch given.first {
    case "basic":
      guard var object = entry.object("basic") else { return nil }
      let user = secretName("user", &object)
      let password = secretName("password", &object)
      object.finish()
      guard let user, let password else { return nil }
      return .basic(user: user, password: password)
    case "hmacSha256":
      guard var object = entry.object("hmacSha256") else { return nil }
      let key = secretName("key", &object)
      let message = secretName("message", &object)
      object.finish()
      guard let key, let message else { return nil }
      return .hmacSHA256(key: key, message: message)
    case "jwt":
      guard var object = entry.object("jwt") else { return nil }
      return tokenTemplate(&object).map { .jsonWebToken($0) }
    case "capture":
      return entry.string("capture", 1...40, allowed: "the name of a captured secret", where: isFieldName)
        .map { .capture($0) }
    default:
      let name = secretName("secret", &entry)
      let encoding = entry.choice("encoding", default: Slot.Encoding.plain)
      return name.map { .secret($0, encoding) }
    }
  }

  private func tokenTemplate(_ object: inout ObjectReader) -> TokenTemplate? {
    let algorithm = object.choice("algorithm", TokenTemplate.Algorithm.self)
    let key = secretName("key", &object)
    let form = object.choice("keyForm", TokenTemplate.KeyForm.self)
    let lifetime = object.integer("lifetimeSeconds", 10...3_600)
    let isUnique = object.flag("unique")
    let keyID = object.value("keyId").flatMap { claim($0, object.place("keyId")) }
    var claims: [String: TokenTemplate.Claim] = [:]
    if var reader = object.object("claims") {
      for name in reader.names {
        guard let value = reader.value(name) else { continue }
        if ["iat", "exp", "jti"].contains(name) || !RuleParser.isKey(name) {
          reader.report(name, "belongs to the host", allowed: "claims other than iat, exp and jti")
        }
        claims[name] = claim(value, reader.place(name))
      }
    }
    object.finish()
    guard let algorithm, let key, let form, let lifetime else { return nil }
    if (algorithm == .hs256) == (form == .pem) {
      object.report("keyForm", "does not fit \(algorithm.rawValue)", came: form.rawValue)
    }
    return TokenTemplate(
      algorithm: algorithm,
      key: key,
      keyForm: form,
      keyID: keyID,
      claims: claims,
      lifetime: .seconds(lifetime),
      isUnique: isUnique
    )
  }

  /// A text, or `{"secret": name}`.
  private func claim(_ value: JSONValue, _ place: String) -> TokenTemplate.Claim? {
    if case .string(let text) = value, text.utf8.count <= 1_000 { return .literal(text) }
    guard case .object = value, var object = ObjectReader(value, path: place, collector: collector) else {
      collector.add(place, "wrong type", came: value.shown, allowed: "a text or {\"secret\": name}")
      return nil
    }
    let name = secretName("secret", &object)
    object.finish()
    return name.map { .secret($0) }
  }

  // MARK: Signer

  func signer(_ reader: inout ObjectReader, slots: [Slot]) -> RequestSigner? {
    guard var object = reader.object("signer") else { return nil }
    let kinds = ["standardWebhooks", "dpop", "sigV4"]
    let kind = object.string("kind", 1...40, allowed: kinds.joined(separator: " | "), where: kinds.contains)
    let signer: RequestSigner?
    switch kind {
    case "standardWebhooks":
      let secret = object.string(
        "secret",
        1...40,
        allowed: "a declared secret of format whsec",
        where: { secrets[$0]?.format == .whsec }
      )
      if ![.json, .form, .text].contains(body) {
        reader.report("signer", "needs a body to sign", came: body.rawValue, allowed: "body json | form | text")
      }
      signer = secret.map { .standardWebhooks(secret: $0) }
    case "dpop":
      let key = secretName("key", &object)
      let token = object.value("token") == nil ? nil : secretName("token", &object)
      signer = key.map { .dpop(key: $0, token: token) }
    case "sigV4":
      signer = sigV4(&object)
    default: signer = nil
    }
    object.finish()
    for case .header(let name) in slots.map(\.place) where signer?.headers.contains(name) == true {
      reader.report("slots.header.\(name)", "the signer writes this header")
    }
    return signer
  }

  private func sigV4(_ object: inout ObjectReader) -> RequestSigner? {
    let accessKey = secretName("accessKey", &object)
    let secretKey = secretName("secretKey", &object)
    let sessionToken = object.value("sessionToken") == nil ? nil : secretName("sessionToken", &object)
    let allowed = "lower-case letters, digits and hyphens"
    let region = object.string("region", 1...40, allowed: allowed, where: ManifestParser.isSlug)
    let service = object.string("service", 1...40, allowed: allowed, where: ManifestParser.isSlug)
    if body == .multipart { object.report("kind", "cannot sign a multipart body") }
    guard let accessKey, let secretKey, let region, let service else { return nil }
    return .sigV4(
      RequestSigner.SigV4Policy(
        accessKey: accessKey,
        secretKey: secretKey,
        sessionToken: sessionToken,
        region: region,
        service: service
      )
    )
  }

  // MARK: Idempotency

  func idempotency(
    _ reader: inout ObjectReader,
    signer: RequestSigner?,
    taken: [SlotPlace]
  ) -> EgressRule.Idempotency? {
    guard var object = reader.object("idempotent") else { return nil }
    let window = object.integer("windowMs", 60_000...2_592_000_000)
    let text = object.optionalString("slot", 1...200)
    object.finish()
    let slot = text.flatMap { place($0, object) }
    let signerCarriesKey = if case .standardWebhooks? = signer { true } else { false }
    if text == nil && !signerCarriesKey {
      object.report("slot", "missing", allowed: "where the host puts the key, or a signer that carries it")
    }
    if let slot, taken.contains(slot) { object.report("slot", "already filled by a secret", came: "\"\(slot)\"") }
    return window.map { EgressRule.Idempotency(window: .milliseconds($0), slot: slot) }
  }

  // MARK: Words

  private func secretName(_ field: String, _ reader: inout ObjectReader) -> String? {
    let allowed = secrets.isEmpty ? "no secret is declared" : secrets.keys.sorted().joined(separator: " | ")
    return reader.string(field, 1...40, allowed: allowed, where: { secrets[$0] != nil })
  }
}
