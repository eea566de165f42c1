import JSONDocument

/// Reads the member `oauth` of a manifest.
struct OAuthParser {
  let collector: ProblemCollector
  let configuration: [ConfigurationName]
  let secrets: [String: SecretDeclaration]
  let accountFields: [AccountField]

  func declaration(_ reader: inout ObjectReader) -> OAuthDeclaration? {
    let tokens = secrets.filter { $0.value.source == .oauth }.keys.sorted()
    guard var object = reader.object("oauth") else {
      if let name = tokens.first { reader.report("oauth", "missing; the secret \(name) comes from it") }
      return nil
    }
    if tokens.count != 1 {
      reader.report("oauth", "needs one secret whose source is oauth", came: "\(tokens.count)", allowed: "exactly one")
    }
    let application = application(&object)
    let authorization = page(&object)
    let separator = object.optionalString("scopeSeparator", 1...1, allowed: "a space or a comma") { " ,".contains($0) }
    let scopes = scopes(&object)
    let exchange = exchange(&object)
    let refresh = refresh(&object)
    let revoke = requests(&object, "revoke", atMost: 4, places: [.clientID, .clientSecret, .token, .refreshToken])
    let accounts = accounts(&object)
    let dead = dead(&object)
    let issuer = object.optionalString("issuer", 9...200, allowed: "an address that begins with https://") {
      $0.hasPrefix("https://")
    }
    object.finish()
    guard let application, let authorization, !exchange.isEmpty, let secret = tokens.first, tokens.count == 1 else {
      return nil
    }
    let declaration = OAuthDeclaration(
      application: application,
      secret: secret,
      authorization: authorization,
      scopeSeparator: separator ?? " ",
      scopes: scopes,
      exchange: exchange,
      refresh: refresh,
      revoke: revoke,
      accounts: accounts,
      dead: dead,
      issuer: issuer
    )
    check(declaration, object)
    return declaration
  }

  // MARK: Parts

  private func application(_ reader: inout ObjectReader) -> OAuthDeclaration.Application? {
    guard var object = reader.object("application", required: true) else { return nil }
    let known = configuration.map(\.name)
    let allowed = "a name of configuration: " + known.joined(separator: ", ")
    let id = object.string("id", 1...60, allowed: allowed, where: known.contains)
    let secret = object.optionalString("secret", 1...60, allowed: allowed, where: known.contains)
    let callback = object.optionalString("callback", 1...60, allowed: allowed, where: known.contains)
    object.finish()
    return id.map { OAuthDeclaration.Application(clientID: $0, clientSecret: secret, callback: callback) }
  }

  private func page(_ reader: inout ObjectReader) -> OAuthPage? {
    guard var object = reader.object("authorize", required: true) else { return nil }
    let address = address(&object)
    let places: Set<OAuthPlace> = [.clientID, .redirect, .state, .scope, .challenge, .challengeInHex]
    let parameters = parameters(&object, places)
    for needed in [OAuthPlace.clientID, .redirect, .state] where !parameters.values.contains(.place(needed)) {
      object.report("parameters", "\(needed.rawValue) is missing")
    }
    object.finish()
    return address.map { OAuthPage(address: $0, parameters: parameters) }
  }

  private func scopes(_ reader: inout ObjectReader) -> [OAuthScopeSet] {
    var sets: [OAuthScopeSet] = []
    for (place, value) in reader.elements("scopes", atMost: 12, required: true) {
      guard var object = ObjectReader(value, path: place, collector: collector) else { continue }
      let name = object.string("name", 1...40, allowed: ManifestParser.nameRule, where: isFieldName)
      let label = object.string("label", 1...120)
      let reason = object.optionalString("reason", 1...300)
      let isRequired = object.flag("required")
      let scopes = object.strings("scopes", atMost: 32, required: true, allowed: "a scope without spaces and commas") {
        !$0.utf8.contains { $0 <= 32 || $0 == UInt8(ascii: ",") || $0 >= 127 }
      }
      object.finish()
      guard let name, let label else { continue }
      if !isRequired, reason == nil { object.report("reason", "missing; who may choose must know why") }
      if sets.contains(where: { $0.name == name }) { object.report("name", "repeated", came: "\"\(name)\"") }
      sets.append(OAuthScopeSet(name: name, label: label, reason: reason, isRequired: isRequired, scopes: scopes))
    }
    return sets
  }

  private func exchange(_ reader: inout ObjectReader) -> [OAuthRequest] {
    let requests = requests(
      &reader,
      "exchange",
      atMost: 4,
      required: true,
      places: [.clientID, .clientSecret, .redirect, .code, .verifier, .scope, .token],
      bringTokens: true
    )
    for (number, request) in requests.enumerated() {
      let (needed, refused): (OAuthPlace, OAuthPlace) = number == 0 ? (.code, .token) : (.token, .code)
      let place = "exchange[\(number)]"
      if !request.carries(needed) { reader.report(place, "\(needed.rawValue) is missing") }
      if request.carries(refused) { reader.report(place, "\(refused.rawValue) is not known here") }
    }
    return requests
  }

  private func refresh(_ reader: inout ObjectReader) -> OAuthRefresh? {
    guard var object = reader.object("refresh") else { return nil }
    let request = object.object("request", required: true).flatMap { inner in
      var inner = inner
      return self.request(&inner, [.clientID, .clientSecret, .token, .refreshToken, .scope], bringsTokens: true)
    }
    let rotation = object.choice("rotation", OAuthRefresh.Rotation.self)
    let grace = object.optionalInteger("graceMs", 0...86_400_000)
    let age = object.optionalInteger("minimumAgeMs", 0...2_592_000_000)
    let lifetime = object.optionalInteger("lifetimeMs", 60_000...31_536_000_000)
    let needsToken = object.flag("needsRefreshToken")
    object.finish()
    guard let request, let rotation else { return nil }
    if !request.carries(.refreshToken), !request.carries(.token) {
      object.report("request", "neither {refresh} nor {token} is there")
    }
    if (rotation == .grace) != ((grace ?? 0) > 0) {
      object.report("graceMs", "goes with the rotation grace alone", came: "\(grace ?? 0)")
    }
    return OAuthRefresh(
      request: request,
      rotation: rotation,
      grace: .milliseconds(grace ?? 0),
      minimumAge: .milliseconds(age ?? 0),
      lifetime: lifetime.map { .milliseconds($0) },
      needsRefreshToken: needsToken
    )
  }

  private func accounts(_ reader: inout ObjectReader) -> OAuthAccounts? {
    guard var object = reader.object("accounts") else { return nil }
    let request = object.object("request", required: true).flatMap { inner in
      var inner = inner
      return self.request(&inner, [.clientID, .clientSecret, .token])
    }
    let each = object.optionalString("each", 1...200, allowed: "a JSON pointer", where: isJSONPointer) ?? ""
    func pointer(_ name: String) -> String? {
      object.optionalString(name, 1...200, allowed: "a JSON pointer", where: isJSONPointer)
    }
    let (id, name) = (pointer("id") ?? "/id", pointer("name") ?? "/name")
    let (handle, token) = (pointer("handle"), pointer("token"))
    let needs = needs(&object)
    let next = next(&object)
    object.finish()
    guard let request else { return nil }
    if !request.carries(.token) { object.report("request", "{token} is missing") }
    return OAuthAccounts(
      request: request,
      each: each,
      id: id,
      name: name,
      handle: handle,
      token: token,
      needs: needs,
      next: next
    )
  }

  private func needs(_ reader: inout ObjectReader) -> (pointer: String, anyOf: [String])? {
    guard var object = reader.object("needs") else { return nil }
    let pointer = object.string("pointer", 1...200, allowed: "a JSON pointer", where: isJSONPointer)
    let any = object.strings("anyOf", atMost: 16, required: true, allowed: "a text") { !$0.isEmpty }
    object.finish()
    return pointer.map { ($0, any) }
  }

  private func next(_ reader: inout ObjectReader) -> (pointer: String, parameter: String)? {
    guard var object = reader.object("next") else { return nil }
    let pointer = object.string("pointer", 1...200, allowed: "a JSON pointer", where: isJSONPointer)
    let parameter = object.string("parameter", 1...60, allowed: Self.parameterRule, where: Self.isParameter)
    object.finish()
    guard let pointer, let parameter else { return nil }
    return (pointer, parameter)
  }

  private func dead(_ reader: inout ObjectReader) -> [OAuthAnswerTest] {
    reader.elements("dead", atMost: 16).compactMap { place, value in
      guard var object = ObjectReader(value, path: place, collector: collector) else { return nil }
      var statuses: Set<Int> = []
      for (place, value) in object.elements("status", atMost: 16) {
        guard let number = value.int64Value, (200...499).contains(number) else {
          collector.add(place, "bad value", came: value.shown, allowed: "a status from 200 to 499")
          continue
        }
        statuses.insert(Int(number))
      }
      let pointer = object.string("pointer", 1...200, allowed: "a JSON pointer", where: isJSONPointer)
      let values = object.strings("values", atMost: 32, required: true, allowed: "a text") { !$0.isEmpty }
      object.finish()
      return pointer.map { OAuthAnswerTest(statuses: statuses, pointer: $0, values: values) }
    }
  }

  // MARK: Requests

  private func requests(
    _ reader: inout ObjectReader,
    _ name: String,
    atMost limit: Int,
    required: Bool = false,
    places: Set<OAuthPlace>,
    bringTokens: Bool = false
  ) -> [OAuthRequest] {
    reader.elements(name, atMost: limit, required: required).compactMap { place, value in
      guard var object = ObjectReader(value, path: place, collector: collector) else { return nil }
      return request(&object, places, bringsTokens: bringTokens)
    }
  }

  private func request(
    _ reader: inout ObjectReader,
    _ places: Set<OAuthPlace>,
    bringsTokens: Bool = false
  ) -> OAuthRequest? {
    let method = reader.choice("method", OAuthRequest.Method.self)
    let address = address(&reader)
    let authentication = reader.choice("authentication", default: OAuthRequest.Authentication.none)
    let parameters = parameters(&reader, places)
    let answer = bringsTokens ? answer(&reader) : OAuthAnswerShape()
    reader.finish()
    guard let method, let address else { return nil }
    if authentication == .bearer, !places.contains(.token) {
      reader.report("authentication", "there is no token yet", came: "\"bearer\"")
    }
    return OAuthRequest(
      method: method,
      address: address,
      authentication: authentication,
      parameters: parameters,
      answer: answer
    )
  }

  private func address(_ reader: inout ObjectReader) -> String? {
    let onServers = accountFields.contains { $0.type == .origin }
    let allowed = "https://host/path" + (onServers ? " or {origin}/path" : "") + ", without query"
    return reader.string("url", 10...300, allowed: allowed) { text in
      let isOnServer = onServers && text.hasPrefix(Self.server + "/")
      guard isOnServer || text.hasPrefix("https://") else { return false }
      let slash = text.dropFirst(isOnServer ? Self.server.count : 8).firstIndex(of: "/")
      guard let slash, isOnServer || RuleParser.isOrigin(String(text[..<slash])) else { return false }
      let segments = text[slash...].dropFirst().split(separator: "/", omittingEmptySubsequences: false)
      // The last one may be empty: a slash at the end is part of some addresses.
      return segments.dropLast().allSatisfy { !$0.isEmpty } && !segments.contains { $0 == "." || $0 == ".." }
        && text[slash...].utf8.allSatisfy { isAlphanumeric($0) || "/._~-".utf8.contains($0) }
    }
  }

  private func parameters(_ reader: inout ObjectReader, _ places: Set<OAuthPlace>) -> [String: OAuthValue] {
    guard var object = reader.object("parameters") else { return [:] }
    var values: [String: OAuthValue] = [:]
    let allowed = "a text, or one of " + places.map(\.rawValue).sorted().joined(separator: " ")
    for name in object.names {
      guard Self.isParameter(name) else {
        object.report(name, "bad name", allowed: Self.parameterRule)
        continue
      }
      guard let text = object.string(name, 1...300, allowed: allowed) else { continue }
      if let place = OAuthPlace(rawValue: text) {
        guard places.contains(place) else {
          object.report(name, "not known here", came: "\"\(text)\"", allowed: allowed)
          continue
        }
        values[name] = .place(place)
      } else if text.utf8.contains(UInt8(ascii: "{")) {
        // A misspelt place would else be sent as it stands.
        object.report(name, "bad value", came: "\"\(text)\"", allowed: allowed)
      } else {
        values[name] = .text(text)
      }
    }
    return values
  }

  private func answer(_ reader: inout ObjectReader) -> OAuthAnswerShape {
    var shape = OAuthAnswerShape()
    guard var object = reader.object("answer") else { return shape }
    func pointers(_ name: String, _ standard: [String]) -> [String] {
      let found = object.strings(name, atMost: 4, allowed: "a JSON pointer", where: isJSONPointer)
      return found.isEmpty ? standard : found
    }
    shape.accessToken = pointers("accessToken", shape.accessToken)
    shape.refreshToken = pointers("refreshToken", shape.refreshToken)
    shape.expiresIn = pointers("expiresIn", shape.expiresIn)
    shape.refreshExpiresIn = pointers("refreshExpiresIn", shape.refreshExpiresIn)
    shape.scope = pointers("scope", shape.scope)
    object.finish()
    return shape
  }

  /// Values that only make sense together.
  private func check(_ declaration: OAuthDeclaration, _ reader: ObjectReader) {
    let hasVerifier = declaration.exchange.first?.carries(.verifier) ?? false
    if hasVerifier != declaration.usesProofKey {
      reader.report("exchange", "{verifier} in the exchange and {challenge} in the page belong together")
    }
    let all = declaration.exchange + [declaration.refresh?.request].compactMap(\.self) + declaration.revoke
    if declaration.application.clientSecret == nil, all.contains(where: { $0.carries(.clientSecret) }) {
      reader.report("application.secret", "missing; a request carries the client's secret")
    }
    if !declaration.scopes.contains(where: \.isRequired) {
      reader.report("scopes", "none is required", allowed: "at least one set with \"required\": true")
    }
  }

  private static let server = "{origin}"
  static let parameterRule = "letters, digits and . _ - at most 60"

  static func isParameter(_ name: String) -> Bool {
    (1...60).contains(name.utf8.count) && name.utf8.allSatisfy { isAlphanumeric($0) || "._-".utf8.contains($0) }
  }
}
