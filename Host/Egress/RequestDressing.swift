import Cryptography
import FoundationEssentials
import HTTPClient
import JSONText
import PluginManifest

/// The secrets of one request, fetched before it is journaled.
struct LiveSecrets: Sendable {
  private let byName: [String: Secret]

  init(_ byName: [String: Secret]) {
    self.byName = byName
  }

  var all: [Secret] { Array(byName.values) }

  func value(_ name: String) throws(EgressError) -> Secret {
    guard let secret = byName[name] else { throw EgressError(.internal, "a secret of the rule is missing") }
    return secret
  }

  /// Names of the secrets that a rule needs.
  static func names(_ rule: EgressRule) -> Set<String> {
    var names = Set(rule.slots.map(\.secret))
    if case .standardWebhooks(let secret) = rule.signer { names.insert(secret) }
    return names
  }
}

/// Adds to a plan everything that is the host's: slots, keys, signature, content type.
struct RequestDressing {
  let plan: RequestPlan
  let scope: EgressScope
  let policy: AddressPolicy
  let secrets: LiveSecrets
  /// Time of this try.
  let now: Date

  /// Returns the request, ready to be sent.
  func outgoing(
    timeout: Duration,
    beforeFirstByte: @escaping @Sendable () -> Bool
  ) throws(EgressError) -> OutgoingRequest {
    var headers = plan.headers.map { ($0.name, $0.value) }
    if !headers.contains(where: { $0.0 == "accept" }) { headers.append(("accept", "application/json")) }
    var query = plan.query
    var body = plan.body
    for slot in plan.rule.slots {
      try fill(slot.place, try value(of: slot), &headers, &query, &body)
    }
    if let place = plan.rule.idempotency?.slot {
      let key = IdempotencyKey.make(requestKey: scope.requestKey, step: plan.step)
      try fill(place, key, &headers, &query, &body)
    }
    let content = wire(body, &headers)
    if case .standardWebhooks(let name) = plan.rule.signer {
      try sign(content, with: secrets.value(name), &headers)
    }
    let target = policy.resolved(plan.target)
    let url = address(target, query)
    guard url.utf8.count <= 8_192 else { throw EgressError(.invalidParams, "the address is too long", field: "query") }
    let policy = policy
    return OutgoingRequest(
      method: plan.rule.method,
      url: url,
      headers: headers,
      body: content,
      timeout: timeout,
      maximumResponseBytes: plan.rule.maximumBody,
      replayPolicy: plan.effectClass == .read ? .repeatable : .once,
      addressPolicy: { socket in
        guard let address = IPAddress(bytes: socket.bytes) else { return false }
        return policy.permits(address, port: Int(socket.port), for: target)
      },
      beforeFirstByte: beforeFirstByte
    )
  }

  // MARK: Slots

  private func value(of slot: Slot) throws(EgressError) -> String {
    let secret = try secrets.value(slot.secret)
    let text: String
    switch slot.encoding {
    case .base64: text = Base64.encode(secret.reveal())
    case .plain:
      guard let plain = secret.revealText() else { throw EgressError(.internal, "a secret of the rule is not text") }
      text = plain
    }
    return slot.prefix + text + slot.suffix
  }

  private func fill(
    _ place: SlotPlace,
    _ value: String,
    _ headers: inout [(String, String)],
    _ query: inout [HTTPCallParameters.Field],
    _ body: inout HTTPCallParameters.Body
  ) throws(EgressError) {
    switch (place, body) {
    case (.header(let name), _):
      guard value.utf8.allSatisfy({ $0 > 0x1F && $0 != 0x7F }) else {
        throw EgressError(.internal, "a secret of the rule does not fit into a header")
      }
      headers.append((name, value))
    case (.query(let key), _): query.append(HTTPCallParameters.Field(name: key, value: value))
    case (.form(let key), .form(let fields)):
      body = .form(fields + [HTTPCallParameters.Field(name: key, value: value)])
    case (.json(let pointer), .json(let json)):
      body = .json(JSONSlot.inserting(value, at: pointer, in: json))
    default: throw EgressError(.internal, "a slot does not fit the body")
    }
  }

  private func sign(
    _ body: RequestBody,
    with secret: Secret,
    _ headers: inout [(String, String)]
  ) throws(EgressError) {
    let id = StandardWebhooks.messageID(requestKey: scope.requestKey, step: plan.step)
    let seconds = Int64(now.timeIntervalSince1970.rounded(.down))
    guard case .bytes(let bytes) = body,
      let signed = StandardWebhooks.headers(id: id, seconds: seconds, body: bytes, secret: secret)
    else { throw EgressError(.internal, "the signing secret is not whsec_ and 24 to 64 bytes in Base64") }
    headers += signed
  }

  // MARK: Wire

  private func address(_ target: TargetURL, _ query: [HTTPCallParameters.Field]) -> String {
    guard !query.isEmpty else { return target.description }
    let pairs = PercentEncoding.pairs(query)
    let joined = target.query.map { $0.isEmpty ? pairs : "\($0)&\(pairs)" } ?? pairs
    return target.replacing(path: target.path, query: joined).description
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
