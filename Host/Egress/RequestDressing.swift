import Cryptography
import FoundationEssentials
import HTTPClient
import JSONText
import PluginManifest

/// Adds to a plan everything that is the host's: slots, keys, signature, content type.
struct RequestDressing {
  let plan: RequestPlan
  let scope: EgressScope
  let policy: AddressPolicy
  let secrets: LiveSecrets
  /// Time of this try.
  let now: Date
  /// Where a redirect leads; nil for the request itself.
  var hop: RedirectPolicy.Hop?
  /// What the server wants to see in a proof of possession.
  var nonce: String?

  private typealias Field = HTTPCallParameters.Field

  /// Everything that a slot can write to.
  private struct Draft {
    var headers: [(String, String)]
    var query: [Field]
    var body: HTTPCallParameters.Body
    var path: String
  }

  /// Returns the request, ready to be sent.
  func outgoing(
    timeout: Duration,
    receiver: (any ResponseReceiver)? = nil,
    silence: Duration? = nil,
    beforeFirstByte: @escaping @Sendable () -> Bool
  ) throws(EgressError) -> OutgoingRequest {
    let logical = hop?.target ?? plan.target
    var draft = Draft(
      headers: plan.headers.map { ($0.name, $0.value) },
      query: plan.query,
      body: plan.body,
      path: logical.path
    )
    if let hop {
      if !hop.keepsSecrets { draft.headers.removeAll { !$0.0.hasPrefix("accept") } }
      draft.query = []
      if !hop.keepsBody { draft.body = .none }
    }
    if !draft.headers.contains(where: { $0.0 == "accept" }) {
      draft.headers.append(("accept", plan.rule.stream == nil ? "application/json" : "text/event-stream"))
    }
    if hop?.keepsSecrets ?? true { try fillSlots(&draft, logical) }
    var headers = draft.headers
    let content = wire(draft.body, &headers)
    let dressed = address(logical.replacing(path: draft.path, query: logical.query), draft.query)
    let target = policy.resolved(dressed)
    if hop == nil { try sign(content, dressed, sentTo: target, &headers) }
    let url = target.description
    guard url.utf8.count <= 8_192 else { throw EgressError(.invalidParams, "the address is too long", field: "query") }
    let policy = policy
    return OutgoingRequest(
      method: hop?.method ?? plan.rule.method,
      url: url,
      headers: headers,
      body: content,
      timeout: timeout,
      // Only a stream may be longer than a message to the plugin.
      maximumResponseBytes: min(plan.rule.maximumBody, AnswerText.maximumText),
      replayPolicy: plan.effectClass == .read ? .repeatable : .once,
      addressPolicy: { socket in
        guard let address = IPAddress(bytes: socket.bytes) else { return false }
        return policy.permits(address, port: Int(socket.port), for: target)
      },
      beforeFirstByte: beforeFirstByte,
      receiver: receiver,
      silence: silence
    )
  }

  // MARK: Slots

  private func fillSlots(_ draft: inout Draft, _ target: TargetURL) throws(EgressError) {
    for slot in plan.rule.slots {
      if plan.rule.authorization == .optional, !secrets.has(slot.value.secretNames) { continue }
      if hop != nil {
        switch slot.place {
        case .query(let key) where target.query.map { PercentEncoding.hasKey(key, in: $0) } == true: continue
        case .form, .json: if case .none = draft.body { continue }
        default: break
        }
      }
      try fill(slot.place, try value(of: slot), &draft)
    }
    if let place = plan.rule.idempotency?.slot {
      try fill(place, IdempotencyKey.make(requestKey: scope.requestKey, step: plan.step), &draft)
    }
  }

  private func value(of slot: Slot) throws(EgressError) -> String {
    let text: String
    switch slot.value {
    case .secret(let name, .base64): text = Base64.encode(try secrets.value(name).reveal())
    case .secret(let name, .plain): text = try self.text(name)
    case .basic(let user, let password):
      text = Base64.encode(Array("\(try self.text(user)):\(try self.text(password))".utf8))
    case .hmacSHA256(let key, let message):
      text = Hex.encode(HMACSHA256.authenticate(try secrets.value(message), key: try secrets.value(key)))
    case .jsonWebToken(let template): text = try TokenMaker(secrets: secrets, now: now).token(template)
    case .capture(let name):
      guard let captured = plan.captures[name], captured.kind == .secret, let plain = captured.value.revealText() else {
        throw EgressError(.egressDenied, "the capture is not a secret", field: "captures.\(name)")
      }
      text = plain
    }
    return slot.prefix + text + slot.suffix
  }

  private func text(_ name: String) throws(EgressError) -> String {
    guard let text = try secrets.value(name).revealText() else {
      throw EgressError(.internal, "a secret of the rule is not text")
    }
    return text
  }

  private func fill(_ place: SlotPlace, _ value: String, _ draft: inout Draft) throws(EgressError) {
    switch (place, draft.body) {
    case (.header(let name), _):
      guard value.utf8.allSatisfy({ $0 == 0x09 || ($0 >= 0x20 && $0 != 0x7F) }) else {
        throw EgressError(.internal, "a secret of the rule does not fit into a header")
      }
      draft.headers.append((name, value))
    case (.query(let key), _): draft.query.append(Field(name: key, value: value))
    case (.path(let name), _):
      guard (1...512).contains(value.utf8.count), value != ".", value != ".." else {
        throw EgressError(.internal, "a secret of the rule does not fit into a path")
      }
      draft.path = draft.path.replacing(RequestPlan.slotMark(name), with: PercentEncoding.encode(value))
    case (.form(let key), .form(let fields)): draft.body = .form(fields + [Field(name: key, value: value)])
    case (.json(let pointer), .json(let json)):
      draft.body = .json(JSONSlot.inserting(value, at: pointer, in: json))
    default: throw EgressError(.internal, "a slot does not fit the body")
    }
  }

  // MARK: Signers

  private func sign(
    _ body: RequestBody,
    _ target: TargetURL,
    sentTo server: TargetURL,
    _ headers: inout [(String, String)]
  ) throws(EgressError) {
    switch plan.rule.signer {
    case nil: break
    case .standardWebhooks(let name):
      let id = StandardWebhooks.messageID(requestKey: scope.requestKey, step: plan.step)
      let seconds = Int64(now.timeIntervalSince1970.rounded(.down))
      guard case .bytes(let bytes) = body,
        let signed = StandardWebhooks.headers(id: id, seconds: seconds, body: bytes, secret: try secrets.value(name))
      else { throw EgressError(.internal, "the signing secret is not whsec_ and 24 to 64 bytes in Base64") }
      headers += signed
    case .dpop(let key, let token):
      let proof = try ProofOfPossession.proof(
        method: plan.rule.method,
        target: target,
        key: try secrets.value(key),
        token: try token.map { name throws(EgressError) in try secrets.value(name) },
        nonce: nonce,
        now: now
      )
      headers.append(("dpop", proof))
    case .sigV4(let policy):
      let signature = SignatureV4(
        accessKey: try text(policy.accessKey),
        secretKey: try secrets.value(policy.secretKey),
        sessionToken: try policy.sessionToken.map { name throws(EgressError) in try text(name) },
        region: policy.region,
        service: policy.service
      )
      headers += signature.headers(
        method: plan.rule.method,
        target: target,
        // The server checks the name that it was called by.
        host: String(server.origin.drop { $0 != "/" }.dropFirst(2)),
        payloadHash: payloadHash(body),
        now: now
      )
    }
  }

  private func payloadHash(_ body: RequestBody) -> String {
    switch body {
    case .none: return Hex.encode(SHA256.digest([UInt8]()))
    case .bytes(let bytes): return Hex.encode(SHA256.digest(bytes))
    case .file, .multipart:
      if case .media(let reference) = plan.body, reference.range == nil, let file = plan.media[reference.handle] {
        return file.sha256
      }
      return SignatureV4.unsignedPayload
    }
  }

  // MARK: Wire

  private func address(_ target: TargetURL, _ query: [Field]) -> TargetURL {
    guard !query.isEmpty else { return target }
    let pairs = PercentEncoding.pairs(query)
    let joined = target.query.map { $0.isEmpty ? pairs : "\($0)&\(pairs)" } ?? pairs
    return target.replacing(path: target.path, query: joined)
  }

  /// Turns the body into bytes or files and names its content type where the client does not.
  private func wire(_ body: HTTPCallParameters.Body, _ headers: inout [(String, String)]) -> RequestBody {
    switch body {
    case .none: return .none
    case .json(let json):
      headers.append(("content-type", "application/json"))
      return .bytes(Array(json.bytes))
    case .form(let fields):
      headers.append(("content-type", "application/x-www-form-urlencoded"))
      return .bytes(Array(PercentEncoding.pairs(fields).utf8))
    case .text(let text):
      if !headers.contains(where: { $0.0 == "content-type" }) {
        headers.append(("content-type", "text/plain; charset=utf-8"))
      }
      return .bytes(Array(text.utf8))
    case .media(let reference):
      guard let file = plan.media[reference.handle] else { return .none }
      if !headers.contains(where: { $0.0 == "content-type" }) { headers.append(("content-type", file.type)) }
      return .file(FileRange(path: file.path, range: reference.range))
    case .multipart(let parts): return .multipart(parts.compactMap(part))
    }
  }

  private func part(_ part: HTTPCallParameters.Part) -> RequestBody.Part? {
    switch part.content {
    case .text(let text):
      return RequestBody.Part(name: part.name, filename: part.filename, contentType: part.type, content: .text(text))
    case .media(let reference):
      guard let file = plan.media[reference.handle] else { return nil }
      return RequestBody.Part(
        name: part.name,
        filename: part.filename ?? file.filename,
        contentType: part.type ?? file.type,
        content: .file(FileRange(path: file.path, range: reference.range))
      )
    }
  }
}
