/// An event that a hook accepted.
struct WebhookEvent: Sendable {
  let id: String
  let type: String
  let at: Int64
  let body: [UInt8]
  /// Of the body as a value: a sender may write its names in another order when it sends again.
  let digest: [UInt8]
  /// What `data` says, for pages and the ledger.
  let title: String
  let text: String
  let link: String?
  let mediaCount: Int
  /// The `id` in `data`, which a later `post.deleted` may name.
  let subject: String?
  var deliveries = 1
  var deletedAt: Int64?
}

/// An address that receives signed webhooks.
struct WebhookHook: Sendable {
  let name: String
  var secrets: [WebhookSecret]
  var maximumBytes: Int
  var requiresHTTPS: Bool
  var events: [WebhookEvent] = []
  var eventByID: [String: Int] = [:]
  /// Digests of bodies, to see a retry that came with a new id.
  var idByBody: [[UInt8]: String] = [:]
}

/// What the control interface says about a hook.
struct WebhookHookOrder: Sendable {
  var name: String
  var secrets: [WebhookSecret]
  var maximumBytes: Int?
  var requiresHTTPS: Bool?

  static func isName(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count)
      && text.utf8.allSatisfy { byte in
        byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-") || (48...57).contains(byte) || (65...90).contains(byte)
          || (97...122).contains(byte)
      }
  }
}

/// A receiver of Standard Webhooks 1.0.0 at `/hooks/{name}`, as strict as its contract.
final class WebhookReceiver: Sendable {
  static let defaultMaximumBytes = 256 * 1024
  /// Counted in the ledger; other events are kept beside it.
  static let publishedType = "post.published"

  struct State: Sendable {
    var hooks: [String: WebhookHook] = [:]
    var order: [String] = []
  }

  let state = Guarded(State())

  func setHook(_ order: WebhookHookOrder) {
    state.withLock { state in
      if state.hooks[order.name] == nil {
        state.hooks[order.name] = WebhookHook(
          name: order.name,
          secrets: [],
          maximumBytes: Self.defaultMaximumBytes,
          requiresHTTPS: false
        )
        state.order.append(order.name)
      }
      state.hooks[order.name]?.secrets = order.secrets
      if let bytes = order.maximumBytes { state.hooks[order.name]?.maximumBytes = bytes }
      if let required = order.requiresHTTPS { state.hooks[order.name]?.requiresHTTPS = required }
    }
  }

  func removeEvents() {
    state.withLock { state in
      for name in state.order {
        state.hooks[name]?.events = []
        state.hooks[name]?.eventByID = [:]
        state.hooks[name]?.idByBody = [:]
      }
    }
  }

  /// Receives one request for `/hooks/{name}`.
  ///
  /// - Parameter origin: the sandbox's own address, for the URL in the answer.
  func answer(_ request: HTTPRequest, hook name: String, now: Int64, origin: String) -> HTTPResponse {
    do throws(WebhookVerifier.Refusal) {
      let id = try accept(request, hook: name, now: now)
      let body = JSONWriter.object {
        $0.member("id", id)
        $0.member("url", Self.page(hook: name, id: id, origin: origin))
      }
      return .json(200, body)
    } catch {
      var response = HTTPResponse.json(
        error.status,
        JSONWriter.object {
          $0.object("error") {
            $0.member("code", error.code)
            $0.member("message", error.message)
          }
        }
      )
      if error.status == 405 { response.set("allow", "POST") }
      return response
    }
  }

  static func page(hook: String, id: String, origin: String) -> String {
    "\(origin)/hooks/\(hook)/\(PercentCoding.encode(id))"
  }

  /// What decides about a request. Not the hook itself: a copy of its events would be copied whole by the next append.
  private struct Rules {
    let secrets: [WebhookSecret]
    let maximumBytes: Int
    let requiresHTTPS: Bool

    init(_ hook: WebhookHook) {
      secrets = hook.secrets
      maximumBytes = hook.maximumBytes
      requiresHTTPS = hook.requiresHTTPS
    }
  }

  private func accept(
    _ request: HTTPRequest,
    hook name: String,
    now: Int64
  ) throws(WebhookVerifier.Refusal) -> String {
    guard let hook = state.withLock({ state in state.hooks[name].map(Rules.init) }) else {
      throw .init(status: 404, code: "unknown_hook", message: "there is no such hook")
    }
    guard request.method == "POST" else {
      throw .init(status: 405, code: "method_not_allowed", message: "only POST is received here")
    }
    if hook.requiresHTTPS, request.header("x-forwarded-proto") != "https" {
      throw .init(status: 403, code: "https_required", message: "this hook takes https only")
    }
    guard request.mediaType == "application/json" else {
      throw .init(status: 415, code: "unsupported_media_type", message: "content-type must be application/json")
    }
    guard request.body.count <= hook.maximumBytes else {
      throw .init(status: 413, code: "too_large", message: "the body has more than \(hook.maximumBytes) bytes")
    }
    let id = try WebhookVerifier(now: now, secrets: hook.secrets).verify(request)
    let event = try WebhookPayload.event(id: id, body: request.body, now: now)
    let result = state.withLock { $0.hooks[name]?.record(event) }
    if case .failure(let refusal) = result { throw refusal }
    return id
  }
}

extension WebhookHook {
  /// Keeps an event, or counts another delivery of one that is kept.
  fileprivate mutating func record(_ event: WebhookEvent) -> Result<Void, WebhookVerifier.Refusal> {
    if let known = eventByID[event.id] {
      guard events[known].digest == event.digest else {
        return .failure(
          .init(status: 409, code: "id_reused", message: "this webhook-id belongs to another body")
        )
      }
      events[known].deliveries += 1
      return .success(())
    }
    if event.type.hasPrefix("post."), let earlier = idByBody[event.digest], earlier != event.id {
      return .failure(
        .init(status: 409, code: "retry_with_new_id", message: "this body came before under another webhook-id")
      )
    }
    idByBody[event.digest] = event.id
    eventByID[event.id] = events.count
    events.append(event)
    if event.type == "post.deleted", let subject = event.subject {
      for index in events.indices
      where events[index].type == WebhookReceiver.publishedType && events[index].deletedAt == nil
        && (events[index].id == subject || events[index].subject == subject)
      {
        events[index].deletedAt = event.at
      }
    }
    return .success(())
  }
}
