import JSONText
public import PluginProtocol

/// One egress rule of a manifest, as far as a test host follows it.
public struct ManifestRule: Sendable {
  /// How far an answer says that the effect happened.
  public enum Outcome: String, Sendable {
    case accepted, rejected, unknown
  }

  /// One line of the outcome table.
  struct Clause: Sendable {
    let statuses: Set<Int64>
    let pointer: String?
    let equals: RawJSON?
    let notEquals: RawJSON?
    let exists: Bool?
    let outcome: Outcome
  }

  /// Where the host puts a secret.
  struct Slot: Sendable {
    let place: String
    let secret: String
    let format: String
  }

  /// Name of the rule.
  public let name: String
  /// `read`, `prepare`, `commit` or `billed`.
  public let effectClass: String
  /// Upper-case HTTP method.
  public let method: String
  /// `https://…`, `account.origin` or `account.endpoint`.
  public let origin: String
  /// Template of the path; nil where the account's address has one.
  public let path: String?
  let query: Set<String>
  let headers: Set<String>
  let calls: [String]
  /// `none`, `json`, `form`, `text`, `multipart` or `media`.
  public let body: String
  let slots: [Slot]
  let clauses: [Clause]
  let exposedHeaders: Set<String>
  /// Whether its answers come as events.
  public let isStream: Bool
  /// Where an event says what was used.
  let usage: String?
  /// Why a request that is not GET or HEAD is of class `read`.
  let reason: String?
  /// Where an answer says what a commit made.
  let remoteID: String?

  /// Whether a host signs the request.
  public let isSigned: Bool
  /// Whether the rule can change something outside.
  public var isEffect: Bool { effectClass == "prepare" || effectClass == "commit" }

  init(_ json: RawJSON) throws(JSONTextError) {
    let object = try json.object()
    name = try object.string("rule")
    effectClass = try object.string("class")
    method = try object.string("method")
    origin = try object.optionalString("origin") ?? ""
    path = try object.optionalString("path")
    query = Set(try object.strings("query"))
    headers = Set(try object.strings("headers"))
    calls = try object.strings("calls")
    body = try object.optionalString("body") ?? "none"
    exposedHeaders = Set(try object.strings("exposeHeaders"))
    reason = try object.optionalString("reason")
    remoteID = try object.optionalString("remoteId")
    isSigned = object.optional("signer") != nil
    isStream = object.optional("stream") != nil
    usage = try object.optionalObject("stream")?.optionalString("usage")
    var slots: [Slot] = []
    for (place, value) in try object.optionalObject("slots")?.all ?? [] {
      let slot = try value.object()
      let secret = try slot.string("secret")
      slots.append(Slot(place: place, secret: secret, format: try slot.optionalString("format") ?? "{}"))
    }
    self.slots = slots
    var clauses: [Clause] = []
    for value in try object.elements("outcome") {
      let clause = try value.object()
      var statuses: Set<Int64> = []
      for status in try clause.elements("status") { statuses.insert(try status.int64()) }
      clauses.append(
        Clause(
          statuses: statuses,
          pointer: try clause.optionalString("pointer"),
          equals: clause["equals"],
          notEquals: clause["notEquals"],
          exists: try clause.optionalBool("exists"),
          outcome: Outcome(rawValue: try clause.string("class")) ?? .unknown
        )
      )
    }
    self.clauses = clauses
  }

  /// Whether a plugin may use the rule while it answers `method`.
  func allows(_ method: String) -> Bool {
    calls.contains { $0 == method || ($0.hasSuffix("/*") && method.hasPrefix($0.dropLast())) }
  }

  /// What an answer says about the effect: the rule's table first, then the host's defaults.
  public func outcome(of answer: HTTPAnswer) -> Outcome {
    for clause in clauses where clause.statuses.contains(Int64(answer.status)) {
      guard let pointer = clause.pointer else { return clause.outcome }
      guard let json = answer.json else { return .unknown }
      let value = json.pointer(pointer)
      if let exists = clause.exists {
        if (value != nil) == exists { return clause.outcome }
      } else if let wanted = clause.equals {
        if value?.canonical() == wanted.canonical() { return clause.outcome }
      } else if let unwanted = clause.notEquals {
        guard let value else { return .unknown }
        if value.canonical() != unwanted.canonical() { return clause.outcome }
      }
    }
    switch answer.status {
    case 200..<300: return .accepted
    case 408, 409, 425: return .unknown
    case 400..<500: return .rejected
    default: return .unknown
    }
  }

  /// What an answer says that a commit made.
  func remoteID(in answer: HTTPAnswer) -> String? {
    if let known = answer.remoteID { return known }
    guard let remoteID else { return nil }
    if remoteID.hasPrefix("header.") { return answer.headers[String(remoteID.dropFirst(7))] }
    // An id that is no text is none, as a host sees it.
    return try? answer.json?.pointer(remoteID)?.string()
  }

  /// What is wrong with a request under this rule; nil if a host would send it.
  func problem(of request: PerformHTTPRequest, from method: String, isStream: Bool = false) -> String? {
    guard allows(method) else { return "\(method) may not use the rule \(name)" }
    if isStream != self.isStream {
      return isStream ? "the rule \(name) is none of a stream" : "the rule \(name) is for host/http.open alone"
    }
    if isEffect, request.step == nil { return "a request of class \(effectClass) names no step (rule \(name))" }
    if let name = request.query.keys.first(where: { !query.contains($0) }) {
      return "the query key \(name) is not granted"
    }
    for name in request.headers.keys.sorted() {
      if name == "content-type", body == "media" || body == "text" { continue }
      if Self.isReserved(name) { return "the header \(name) belongs to the host" }
      guard headers.contains(name) || Self.freeHeaders.contains(name) else {
        return "the header \(name) is not granted"
      }
    }
    let holes = Set(Self.holes(of: path ?? ""))
    guard holes == Set(request.path.keys) else {
      return "the path of \(name) has the holes \(holes.sorted()), the request fills \(request.path.keys.sorted())"
    }
    guard request.body.kind == body else { return "the rule \(name) takes the body \(body), not \(request.body.kind)" }
    return nil
  }

  /// Names in braces.
  static func holes(of template: String) -> [String] {
    template.split(separator: "{", omittingEmptySubsequences: false).dropFirst().compactMap { part in
      part.contains("}") ? String(part.prefix { $0 != "}" }) : nil
    }
  }

  /// Headers that every plugin may set.
  private static let freeHeaders: Set<String> = ["accept", "accept-language", "if-modified-since", "if-none-match"]

  private static func isReserved(_ name: String) -> Bool {
    let names: Set<String> = [
      "authorization", "connection", "content-length", "content-type", "cookie", "cookie2", "expect", "forwarded",
      "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "via",
    ]
    let lower = name.lowercased()
    return names.contains(lower) || ["proxy-", "sec-", "webhook-", "x-forwarded-"].contains { lower.hasPrefix($0) }
  }
}

extension HTTPBody {
  /// The kind as a manifest names it.
  var kind: String {
    switch self {
    case .none: "none"
    case .json: "json"
    case .form: "form"
    case .text: "text"
    case .multipart: "multipart"
    case .media: "media"
    }
  }
}
