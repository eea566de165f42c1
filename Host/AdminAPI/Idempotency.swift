import Cryptography
import HTTPServer
import Identity
import JSONDocument
import Postgres

/// One use of an `Idempotency-Key`: the same key with the same request gets the same answer, and makes nothing new.
///
/// The key is the first row of the transaction that makes the thing. Whoever comes second waits there for the first
/// one's end, before it can get in the way of anything else, and then answers like the first.
struct IdempotencyKey: Sendable {
  /// Stands for the host as a whole, where nothing belongs to a site.
  static let wholeHost: Int64 = 0

  let site: Int64
  let user: Int64
  let key: String
  let hash: [UInt8]

  /// The key that the client sent; nil when it sent none.
  ///
  /// - Parameter content: stands for the body, where that is not kept.
  init?(_ request: HTTPRequest, site: Int64, user: Int64, content: [UInt8]? = nil) throws {
    guard let key = request.headers["idempotency-key"] else { return nil }
    let isPrintable = key.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    guard (1...255).contains(key.utf8.count), isPrintable else {
      throw HTTPProblem(
        status: 400,
        code: "notAllowed",
        message: "Idempotency-Key has \(key.utf8.count) characters; allowed are 1 to 255 visible ASCII characters",
        field: "Idempotency-Key"
      )
    }
    self.site = site
    self.user = user
    self.key = key
    hash = SHA256.digest(
      Array("\(request.method) \(request.target.path)?\(request.target.query)\n".utf8) + (content ?? request.body.bytes)
    )
  }

  /// The answer that this key got before.
  ///
  /// - Throws: a conflict when the key was used for another request.
  func earlierAnswer(_ pool: Pool) async throws -> HTTPResponse? {
    try await earlier(pool).map { Self.replay($0.text, status: $0.status) }
  }

  static func replay(_ text: String, status: Int) -> HTTPResponse {
    var response = HTTPResponse.json(text, status: status)
    response.headers.set("idempotency-replayed", "true")
    return response
  }

  /// Status and text of the answer that this key got before.
  func earlier(_ pool: Pool) async throws -> (status: Int, text: String)? {
    let rows = try await pool.query(
      """
      SELECT request_hash, status, response FROM idempotency_keys
      WHERE site_id = \(site) AND user_id = \(user) AND key = \(key)
      """
    )
    guard let row = rows.first else { return nil }
    guard try row.get("request_hash", as: [UInt8].self) == hash else {
      throw HTTPProblem(
        status: 409,
        code: "idempotency_key_reused",
        message: "This Idempotency-Key was used for another request; use a new one for each request",
        field: "Idempotency-Key"
      )
    }
    return (Int(try row.get("status", as: Int16.self)), try row.get("response"))
  }

  /// The statement that takes the key and remembers the answer, the first of the transaction that makes what it tells
  /// of.
  func take(status: Int, _ answer: String) -> SQL {
    """
    INSERT INTO idempotency_keys (site_id, user_id, key, request_hash, status, response)
    VALUES (\(site), \(user), \(key), \(hash), \(Int16(clamping: status)), \(answer))
    """
  }

  /// Takes the key before the answer is known; ``remember(_:)`` has to follow in the same transaction.
  func take(status: Int) -> SQL { take(status: status, "") }

  /// The statement that adds the answer to a key that the same transaction took.
  func remember(_ answer: String) -> SQL {
    """
    UPDATE idempotency_keys SET response = \(answer) WHERE site_id = \(site) AND user_id = \(user) AND key = \(key)
    """
  }
}

extension APIContext {
  /// Runs a create in one transaction, once per `Idempotency-Key`.
  ///
  /// - Parameters:
  ///   - site: whose key it is; ``IdempotencyKey/wholeHost`` where nothing belongs to a site.
  ///   - content: stands for the body, where that is not kept.
  func create(
    status: Int = 201,
    scope: Scope,
    site: Int64,
    content: [UInt8]? = nil,
    _ body: @Sendable (Transaction) async throws -> JSONValue
  ) async throws -> HTTPResponse {
    let key = try IdempotencyKey(request, site: site, user: caller().userID, content: content)
    return try await once(key) {
      try await services.pool.transaction(scope: scope) { tx in
        if let key { try await tx.execute(key.take(status: status)) }
        let answer = Envelope.text(try await body(tx))
        if let key { try await tx.execute(key.remember(answer)) }
        return HTTPResponse.json(answer, status: status)
      }
    }
  }

  /// Answers from memory when the key was used before, also by a request that runs at this moment.
  func once(_ key: IdempotencyKey?, _ body: () async throws -> HTTPResponse) async throws -> HTTPResponse {
    guard let key else { return try await body() }
    if let earlier = try await key.earlierAnswer(services.pool) { return earlier }
    do {
      return try await body()
    } catch let error as PostgresError where error.isUniqueViolation && error.table == "idempotency_keys" {
      if let earlier = try await key.earlierAnswer(services.pool) { return earlier }
      throw error
    }
  }
}

/// The envelope around every answer.
enum Envelope {
  static func text(_ data: JSONValue) -> String {
    JSONValue.object(["success": true, "data": data]).text()
  }

  static func ok(_ data: JSONValue, status: Int = 200) -> HTTPResponse {
    .json(text(data), status: status)
  }

  /// A page of a list; `nextCursor` is there when more may follow.
  static func page(_ rows: [JSONValue], nextCursor: Int64?) -> HTTPResponse {
    var members: [String: JSONValue] = ["success": true, "data": .array(rows)]
    members["nextCursor"] = nextCursor.map { .int($0) } ?? .null
    return .json(JSONValue.object(members).text())
  }
}
