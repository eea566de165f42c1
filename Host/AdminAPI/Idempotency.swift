import Cryptography
import HTTPServer
import Identity
import JSONDocument
import Postgres

/// One use of an `Idempotency-Key`: the same key with the same request gets the same answer, and makes nothing new.
struct IdempotencyKey: Sendable {
  let site: Int64
  let user: Int64
  let key: String
  let hash: [UInt8]

  /// The key that the client sent; nil when it sent none.
  init?(_ request: HTTPRequest, site: Int64, user: Int64) throws {
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
    hash = SHA256.digest(Array("\(request.method) \(request.target.path)\n".utf8) + request.body.bytes)
  }

  /// The answer that this key got before.
  ///
  /// - Throws: a conflict when the key was used for another request.
  func earlierAnswer(_ pool: Pool) async throws -> HTTPResponse? {
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
    var response = HTTPResponse.json(
      try row.get("response", as: String.self),
      status: Int(try row.get("status", as: Int16.self))
    )
    response.headers.set("idempotency-replayed", "true")
    return response
  }

  /// The statement that remembers an answer, in the transaction that makes what it tells of.
  func remember(status: Int, _ answer: String) -> SQL {
    """
    INSERT INTO idempotency_keys (site_id, user_id, key, request_hash, status, response)
    VALUES (\(site), \(user), \(key), \(hash), \(Int16(clamping: status)), \(answer))
    """
  }
}

extension APIContext {
  /// Runs a create in one transaction confined to the site, once per `Idempotency-Key`.
  func create(
    status: Int = 201,
    scope: Scope,
    site: Int64,
    _ body: @Sendable (Transaction) async throws -> JSONValue
  ) async throws -> HTTPResponse {
    let key = try IdempotencyKey(request, site: site, user: caller().userID)
    return try await once(key) {
      try await services.pool.transaction(scope: scope) { tx in
        let answer = Envelope.text(try await body(tx))
        if let key { try await tx.execute(key.remember(status: status, answer)) }
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
