import Cryptography
import Foundation
import JSONText
import Testing

@testable import Egress

/// What the host signs, and that nothing but the manifest decides about it.
@Suite struct SigningTests {
  @Test func aGhostTokenIsMadeOfIdAndHexKey() async throws {
    let rule = #"""
      [{"rule": "post", "class": "commit", "method": "POST", "origin": "https://api.example.com", "path": "/posts",
        "calls": ["post/publish"], "body": "json", "maxBody": 2000, "timeoutMs": 5000,
        "slots": {"header.authorization": {"format": "Ghost {}", "jwt": {
          "algorithm": "HS256", "key": "key", "keyForm": "idHex", "lifetimeSeconds": 300,
          "claims": {"aud": "/admin/", "iss": {"secret": "user"}}}}}}]
      """#
    let fixture = try RuleFixture(rule, secrets: ["key": "abc123:00ff10", "user": "me"])
    #expect(try await fixture.perform(#"{"rule":"post","step":"p","json":{}}"#).failure == nil)
    let header = try #require(fixture.server.requests.first?.headers["authorization"])
    #expect(header.hasPrefix("Ghost "))
    let parts = header.dropFirst(6).split(separator: ".").map(String.init)
    #expect(try Self.json(parts[0]) == #"{"alg":"HS256","kid":"abc123","typ":"JWT"}"#)
    #expect(try Self.json(parts[1]) == #"{"aud":"/admin/","exp":1700000300,"iat":1700000000,"iss":"me"}"#)
    let code = HMACSHA256.authenticate(Array("\(parts[0]).\(parts[1])".utf8), key: Secret([0x00, 0xFF, 0x10]))
    #expect(parts[2] == Base64.encodeURL(code))
  }

  @Test func keysOfTheWrongFormSendNothing() async throws {
    let rule = #"""
      [{"rule": "post", "class": "commit", "method": "POST", "origin": "https://api.example.com", "path": "/posts",
        "calls": ["post/publish"], "body": "json", "maxBody": 2000, "timeoutMs": 5000,
        "slots": {"header.authorization": {"jwt": {
          "algorithm": "ES256", "key": "key", "keyForm": "pem", "lifetimeSeconds": 300}}}}]
      """#
    let fixture = try RuleFixture(rule, secrets: ["key": "no key"])
    #expect(try await fixture.perform(#"{"rule":"post","step":"p","json":{}}"#).failure?.kind == .internal)
    #expect(fixture.server.requests.isEmpty)
    #expect(await fixture.journal.outcomes.map(\.outcome) == [.notSent])
  }

  @Test func proofsAndPairsAreDerived() async throws {
    let rule = #"""
      [{"rule": "me", "class": "read", "method": "GET", "origin": "https://api.example.com", "path": "/me",
        "calls": ["post/publish"], "maxBody": 2000, "timeoutMs": 5000,
        "slots": {"header.authorization": {"format": "Basic {}", "basic": {"user": "user", "password": "token"}},
                  "query.appsecret_proof": {"hmacSha256": {"key": "key", "message": "token"}}}}]
      """#
    let fixture = try RuleFixture(rule, secrets: ["user": "Ada", "token": "open sesame", "key": "app-secret"])
    #expect(try await fixture.perform(#"{"rule":"me"}"#).failure == nil)
    let request = try #require(fixture.server.requests.first)
    #expect(request.headers["authorization"] == "Basic " + Base64.encode(Array("Ada:open sesame".utf8)))
    let proof = Hex.encode(HMACSHA256.authenticate(Array("open sesame".utf8), key: Secret("app-secret")))
    #expect(request.target == "/me?appsecret_proof=\(proof)")
  }

  @Test func aTokenCanStandInThePath() async throws {
    let rule = #"""
      [{"rule": "send", "class": "commit", "method": "POST", "origin": "https://api.example.com",
        "path": "/bot{token}/sendMessage", "calls": ["post/publish"], "body": "json", "maxBody": 2000,
        "timeoutMs": 5000, "slots": {"path.token": {"secret": "token"}}}]
      """#
    let fixture = try RuleFixture(rule, secrets: ["token": "123:AA/../b?c"])
    #expect(try await fixture.perform(#"{"rule":"send","step":"s","json":{}}"#).failure == nil)
    #expect(fixture.server.requests.first?.target == "/bot123%3AAA%2F..%2Fb%3Fc/sendMessage")
    let own = try await fixture.perform(#"{"rule":"send","step":"t","path":{"token":"mine"},"json":{}}"#)
    #expect(own.failure?.kind == .egressDenied)
  }

  @Test func anOptionalSecretMayBeMissing() async throws {
    let rule = #"""
      [{"rule": "me", "class": "read", "method": "GET", "origin": "https://api.example.com", "path": "/me",
        "calls": ["post/publish"], "auth": "optional", "maxBody": 2000, "timeoutMs": 5000,
        "slots": {"header.authorization": {"secret": "token", "format": "Bearer {}"}}}]
      """#
    let without = try RuleFixture(rule, secrets: [:])
    #expect(try await without.perform(#"{"rule":"me"}"#).failure == nil)
    #expect(without.server.requests.first?.headers["authorization"] == nil)
    let required = try RuleFixture(rule.replacing(#""optional""#, with: #""required""#), secrets: [:])
    #expect(try await required.perform(#"{"rule":"me"}"#).failure?.kind == .authExpired)
    #expect(required.server.requests.isEmpty)
    let empty = try RuleFixture(rule.replacing(#""optional""#, with: #""required""#), secrets: ["token": ""])
    #expect(try await empty.perform(#"{"rule":"me"}"#).failure?.kind == .authExpired)
  }

  // MARK: DPoP

  private static let dpop = #"""
    [{"rule": "post", "class": "commit", "method": "POST", "origin": "https://api.example.com", "path": "/xrpc/post",
      "calls": ["post/publish"], "body": "json", "maxBody": 2000, "timeoutMs": 5000,
      "slots": {"header.authorization": {"secret": "token", "format": "DPoP {}"}},
      "signer": {"kind": "dpop", "key": "key", "token": "token"}}]
    """#

  private func key() throws -> String {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    return String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  }

  @Test func aProofIsMadeAndANonceIsTakenUp() async throws {
    let fixture = try RuleFixture(Self.dpop, secrets: ["token": "access-token-1", "key": try key()]) { request in
      guard let claims = try? Self.json(Self.parts(request)[1]), claims.contains(#""nonce":"n-1""#) else {
        return .answer(
          401,
          headers: ["dpop-nonce": "n-1", "www-authenticate": #"DPoP error="use_dpop_nonce""#],
          body: #"{"error":"use_dpop_nonce"}"#
        )
      }
      return .answer(200, headers: ["dpop-nonce": "n-2"], body: "{}")
    }
    let answer = try await fixture.perform(#"{"rule":"post","step":"p","json":{}}"#)
    #expect(answer.status == 200)
    let requests = fixture.server.requests
    try #require(requests.count == 2)
    let header = try RawJSON(text: try Self.json(Self.parts(requests[1])[0]))
    #expect(header.pointer("/typ")?.text == #""dpop+jwt""#)
    #expect(header.pointer("/jwk/crv")?.text == #""P-256""#)
    let claims = try RawJSON(text: try Self.json(Self.parts(requests[1])[1]))
    #expect(claims.pointer("/htm")?.text == #""POST""#)
    #expect(try claims.pointer("/htu")?.string() == "https://api.example.com/xrpc/post")
    #expect(try claims.pointer("/ath")?.string() == Base64.encodeURL(SHA256.digest("access-token-1")))
    #expect(claims.pointer("/iat")?.text == "1700000000")
    #expect(try Base64.decodeURL(Self.parts(requests[1])[2])?.count == 64)
    // The journal knows one request, with the outcome of the second.
    #expect(await fixture.journal.outcomes.map(\.outcome) == [.accepted])
    // The next request brings the newest nonce at once, and a proof of its own.
    _ = try await fixture.perform(#"{"rule":"post","step":"q","json":{}}"#)
    let last = try #require(fixture.server.requests.dropFirst(2).first)
    let third = try RawJSON(text: try Self.json(Self.parts(last)[1]))
    #expect(third.pointer("/nonce")?.text == #""n-2""#)
    #expect(third.pointer("/jti") != claims.pointer("/jti"))
  }

  @Test func aServerThatAlwaysAsksIsAskedTwice() async throws {
    let fixture = try RuleFixture(Self.dpop, secrets: ["token": "access-token-1", "key": try key()]) { _ in
      .answer(401, headers: ["dpop-nonce": "n", "www-authenticate": #"DPoP error="use_dpop_nonce""#])
    }
    #expect(try await fixture.perform(#"{"rule":"post","step":"p","json":{}}"#).status == 401)
    #expect(fixture.server.requests.count == 2)
  }

  @Test func anotherRefusalIsNotRepeated() async throws {
    let fixture = try RuleFixture(Self.dpop, secrets: ["token": "access-token-1", "key": try key()]) { _ in
      .answer(401, headers: ["dpop-nonce": "n", "www-authenticate": #"DPoP error="invalid_token""#])
    }
    _ = try await fixture.perform(#"{"rule":"post","step":"p","json":{}}"#)
    #expect(fixture.server.requests.count == 1)
  }

  // MARK: Signature Version 4

  /// The examples of the service's documentation (bucket life cycle, list of objects).
  @Test(arguments: [
    ("lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    ("max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ("prefix=J&max-keys=2", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
  ])
  func thePublishedExamplesComeOut(_ query: String, _ signature: String) throws {
    let signer = SignatureV4(
      accessKey: "AKIAIOSFODNN7EXAMPLE",
      secretKey: Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
      sessionToken: nil,
      region: "us-east-1",
      service: "s3"
    )
    let headers = signer.headers(
      method: "GET",
      target: try TargetURL("https://examplebucket.s3.amazonaws.com/?\(query)"),
      host: "examplebucket.s3.amazonaws.com",
      payloadHash: Hex.encode(SHA256.digest("")),
      now: Date(timeIntervalSince1970: 1_369_353_600)
    )
    #expect(headers.first { $0.0 == "x-amz-date" }?.1 == "20130524T000000Z")
    #expect(headers.first { $0.0 == "authorization" }?.1.hasSuffix("Signature=\(signature)") == true)
  }

  @Test(arguments: [
    (0.0, "19700101T000000Z"), (951_782_399, "20000228T235959Z"), (951_782_400, "20000229T000000Z"),
    (1_709_251_199.9, "20240229T235959Z"), (4_102_444_799, "20991231T235959Z"),
  ])
  func stampsAreDates(_ seconds: Double, _ stamp: String) {
    #expect(SignatureV4.stamp(Date(timeIntervalSince1970: seconds)) == stamp)
  }

  // MARK: Reading tokens

  private static func json(_ part: String) throws -> String {
    String(decoding: try #require(Base64.decodeURL(part)), as: UTF8.self)
  }

  private static func parts(_ request: LoopbackServer.Request) throws -> [String] {
    try #require(request.headers["dpop"]).split(separator: ".").map(String.init)
  }
}
